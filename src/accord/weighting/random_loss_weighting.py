"""Random weights, drawn anew in every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError, suggest
from accord.linalg.draws import Draws
from accord.method import Method
from accord.weighting.share import share

Distribution = Literal["normal", "uniform", "dirichlet", "bernoulli", "one"]


def _softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores - scores.max())


def _bernoulli(generator: np.random.Generator, tasks: int) -> np.ndarray:
    # All-zero draws are rejected: a step that trains nothing is no draw of weights.
    drawn = generator.integers(0, 2, tasks)
    return drawn if drawn.any() else _bernoulli(generator, tasks)


# Relative weights of T tasks.
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda generator, tasks: _softmax(generator.standard_normal(tasks)),
    "uniform": lambda generator, tasks: _softmax(generator.uniform(size=tasks)),
    "dirichlet": lambda generator, tasks: generator.dirichlet(np.ones(tasks)),
    "bernoulli": _bernoulli,
    "one": lambda generator, tasks: np.eye(tasks)[generator.integers(tasks)],
}


class RandomLossWeighting(DirectWeighting):
    """Weight the losses by random numbers on the simplex: in expectation plain averaging, with more noise.

    A litmus test: a method that does not beat it does not owe its gain to how it chooses weights.

    Shapes: losses ``[T]`` -> weights ``[T]``, summing to 1. Cost: one backward.

    Args:
        distribution: ``"normal"`` (the paper's default) and ``"uniform"``: softmax of such draws; ``"dirichlet"``:
            uniform on the simplex; ``"bernoulli"``: each task in or out at even odds; ``"one"``: one task per step
            (the paper's constrained Bernoulli).
        seed: of the draws. Their place in the stream is part of ``state_dict``.

    Source: Lin et al., Reasonable Effectiveness of Random Weighting, 2022.
    """

    method: ClassVar[Method] = Method(
        title="RLW",
        paper="Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning",
        year=2022,
        url="https://arxiv.org/abs/2111.10603",
        needs="nothing",
        cost="1 backward",
    )

    def __init__(self, distribution: Distribution = "normal", seed: int = 0) -> None:
        super().__init__()
        if distribution not in get_args(Distribution):
            hint = suggest(str(distribution), get_args(Distribution))
            raise ConfigurationError(f"RandomLossWeighting has no distribution {distribution!r}. {hint}")
        self.distribution = distribution
        self.draws = Draws(seed)

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        chosen = np.arange(len(losses)) if active is None else active.cpu().numpy().nonzero()[0]
        values = np.zeros(len(losses))
        if chosen.size:
            values[chosen] = DISTRIBUTIONS[self.distribution](self.draws.generator(), chosen.size)
        return share(torch.from_numpy(values), losses, active)

    def extra_repr(self) -> str:
        return f"distribution={self.distribution!r}"
