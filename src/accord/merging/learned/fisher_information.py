"""The diagonal of a model's Fisher information."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from accord.errors import ConfigurationError, DataError
from accord.merging.learned.batches import call_with, inputs_of, labels_of, logits_of
from accord.merging.learned.experts import evaluating
from accord.merging.learned.statistics import Statistics


def fisher_information(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    labels: Literal["expected", "sampled", "given"] = "expected",
    chunk: int = 16,
    generator: torch.Generator | None = None,
) -> Statistics:
    """Return the mean over samples of ``sum_y p(y|x) (d log p(y|x) / d theta)^2``, for every trainable parameter.

    Gradients are those of single samples, worked out together with :func:`torch.func.vmap`, or one after the other for
    models that look at their data and cannot be vectorised, in evaluation mode. A few hundred samples suffice for
    merging.

    Cost: a forward and backward per sample, times the number of classes for ``"expected"``; memory: ``chunk * P``.

    Args:
        model: predicts logits ``[N, classes]``.
        batches: see :class:`accord.merging.LearnedMerging`.
        labels: ``"expected"``: the sum over all classes; ``"sampled"``: one class drawn from the model's own
            prediction, an unbiased estimate for many classes; ``"given"``: the data's labels, which gives the empirical
            Fisher, another quantity although much used.
        chunk: samples at a time.
        generator: draws classes.

    Raises:
        DataError: there are no samples, or no labels where they are needed.
    """
    if labels not in ("expected", "sampled", "given"):
        raise ConfigurationError(f"labels must be 'expected', 'sampled' or 'given'; got {labels!r}")
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(value) for name, value in weights.items()}
    count = 0
    with evaluating({"model": model}):
        for batch in batches:
            samples = 0
            for classes, probabilities in _questions(model, batch, labels, generator):
                _add(model, weights, batch, classes, probabilities, chunk, total)
                samples = len(classes)
            count += samples
    if not count:
        raise DataError("there are no batches to take the Fisher information from")
    return Statistics("fisher", count, {name: value / count for name, value in total.items()})


def _questions(
    model: nn.Module, batch: Any, labels: str, generator: torch.Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a class for each sample, and its weight."""
    if labels == "given":
        asked = labels_of(batch, "model")
        yield asked, torch.ones(len(asked), device=asked.device)
        return
    with torch.no_grad():
        probabilities = logits_of(call_with(model, batch)).softmax(dim=-1)
    if probabilities.dim() != 2:
        raise DataError(f"the model must predict logits [N, classes]; it gave {list(probabilities.shape)}")
    if labels == "sampled":
        drawn = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        yield drawn, torch.ones_like(probabilities[:, 0])
        return
    for place in range(probabilities.shape[1]):
        chosen = probabilities[:, place]
        yield torch.full_like(chosen, place, dtype=torch.long), chosen


def _add(
    model: nn.Module, weights: Mapping[str, Tensor], batch: Any, classes: Tensor, probabilities: Tensor, chunk: int,
    total: dict[str, Tensor],
) -> None:  # fmt: skip
    args, named = inputs_of(batch)
    inputs = [*args, *named.values()]
    places = [place for place, value in enumerate(inputs) if isinstance(value, Tensor)]

    def score(values: dict[str, Tensor], sample: list[Tensor], label: Tensor) -> Tensor:
        lone = list(inputs)
        for place, tensor in zip(places, sample, strict=True):
            lone[place] = tensor[None]
        keywords = dict(zip(named, lone[len(args) :], strict=True))
        output = functional_call(model, values, tuple(lone[: len(args)]), keywords)
        return logits_of(output)[0].log_softmax(dim=-1).gather(0, label[None])[0]

    for start in range(0, len(classes), chunk):
        part = slice(start, start + chunk)
        found = _slopes(score, dict(weights), [inputs[place][part] for place in places], classes[part])
        for name, slope in found.items():
            share = probabilities[part].reshape(-1, *[1] * (slope.dim() - 1)).to(slope)
            total[name] += (share * slope.square()).sum(dim=0)


def _slopes(
    score: Callable[[dict[str, Tensor], list[Tensor], Tensor], Tensor],
    weights: dict[str, Tensor],
    samples: list[Tensor],
    labels: Tensor,
) -> dict[str, Tensor]:
    """Return the slopes of each sample's score ``[samples, ...]``, by weight."""
    try:
        return vmap(grad(score), in_dims=(None, 0, 0), randomness="different")(weights, samples, labels)
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
    # A model whose forward looks at its data, as by .item(), takes one sample after the other.
    each = [grad(score)(weights, [one[place] for one in samples], label) for place, label in enumerate(labels)]
    return {name: torch.stack([slope[name] for slope in each]) for name in weights}
