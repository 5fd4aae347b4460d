"""One virtual step of descent, and what losses after it say about the weights before it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from accord.engines import jacobian
from accord.errors import ConfigurationError

Losses = Tensor | Sequence[Tensor | None] | Mapping[str, Tensor | None]
# Computes the losses of one batch at the parameters as they are now.
Closure = Callable[[], Losses]
# Weights ``[T]`` for the values ``[T]`` of losses, NaN where there is none.
Weigh = Callable[[Tensor], Tensor]


class LooksAhead(ABC):
    """A weighting that learns its weights from what a step with them would do to other losses."""

    @abstractmethod
    def update(self, parameters: Iterable[Tensor], *, train: Closure, validation: Closure, step: float) -> None:
        """Learn from one pair of batches, before this step's losses are computed; the parameters stay as they are.

        Without it the weights stay at ``1/T``. Every call of a closure is an ordinary forward: running statistics of
        normalisation layers move with it. Of several processes each must be shown the same two batches, or their
        weights part ways.

        Args:
            parameters: those that the losses train, frozen ones are skipped.
            train: computes the T losses of a training batch, ``None`` for absent ones.
            validation: computes the T losses of another batch, held out if there is one.
            step: length of the virtual step, the optimiser's learning rate.
        """


def trainable(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters that are not frozen."""
    found = [parameter for parameter in parameters if parameter.requires_grad]
    if not found:
        raise ConfigurationError("parameters is empty or all frozen: pass those that the losses train, as a list")
    return found


@contextmanager
def moved(parameters: Sequence[Tensor], direction: Tensor, step: float) -> Iterator[None]:
    """Move the parameters by ``-step * direction`` ``[P]``; put back afterwards, bit for bit."""
    kept = [parameter.detach().clone() for parameter in parameters]
    pieces = direction.split([parameter.numel() for parameter in parameters])
    try:
        with torch.no_grad():
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter.sub_(step * piece.view_as(parameter).to(parameter))
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before)


def values(losses: Losses) -> Tensor:
    """Return the losses as numbers ``[T]`` in float64, NaN for absent ones."""
    items = list(losses.values()) if isinstance(losses, Mapping) else list(losses)
    return torch.tensor([math.nan if item is None else item.detach().item() for item in items], dtype=torch.float64)


def rows(losses: Losses, parameters: Sequence[Tensor]) -> Tensor:
    """Return the losses' gradients ``[T, P]``; rows of absent tasks and of those that are not finite are 0."""
    found = jacobian(losses, parameters, retain_graph=False)
    return torch.where(found.isfinite().all(dim=1, keepdim=True), found, 0.0)


def combined(losses: Losses, weights: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the gradient ``[P]`` of the weighted losses by one backward; absent and infinite losses are left out."""
    items = list(losses.values()) if isinstance(losses, Mapping) else list(losses)
    terms = [w * item for w, item in zip(weights.tolist(), items, strict=True) if item is not None and item.isfinite()]
    if not terms:
        return parameters[0].new_zeros(sum(parameter.numel() for parameter in parameters))
    total = torch.stack(terms).sum()
    found = torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in found])


def exact(
    parameters: Sequence[Tensor], train: Closure, validation: Closure, weigh: Weigh, step: float
) -> tuple[Tensor, Tensor]:
    """Return the training losses ``[T]``, and the exact slopes ``[m, T]`` of m losses after the step in its weights.

    The step is linear in the weights, so no second derivative is involved: ``-step V J'`` with the training gradients
    ``J`` ``[T, P]`` before and the other losses' ``V`` ``[m, P]`` after it. Cost: T + m backwards, (T + m) P numbers.
    """
    losses = train()
    now = values(losses)
    before = rows(losses, parameters)
    with moved(parameters, weigh(now).to(before) @ before, step):
        after = rows(validation(), parameters)
    return now, -step * (after @ before.T).double().cpu()


def differences(
    parameters: Sequence[Tensor],
    train: Closure,
    validation: Closure,
    weigh: Weigh,
    step: float,
    chosen: Weigh,
) -> tuple[Tensor, Tensor]:
    """Return the training losses ``[T]``, and the slopes ``[T]`` of the ``chosen``-weighted others by two forwards.

    They are ``-step J v``, and ``J v`` is the change of the training losses along the gradient ``v`` after the step,
    over a central difference of length 0.02. Both forwards draw the same random numbers, so that dropout does not pass
    for a slope. Cost: 2 backwards and 4 forwards, whatever T.
    """
    losses = train()
    now = values(losses)
    direction = combined(losses, weigh(now), parameters)
    with moved(parameters, direction, step):
        others = validation()
        along = combined(others, chosen(values(others)), parameters)
    length = float(along.norm())
    if not 0.0 < length < float("inf"):
        return now, torch.zeros_like(now)
    found = []
    for sign in (-1.0, 1.0):
        with torch.random.fork_rng(), torch.no_grad(), moved(parameters, sign * along, 0.01 / length):
            found.append(values(train()))
    return now, -step * (found[0] - found[1]) * (length / 0.02)
