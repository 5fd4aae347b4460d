"""The smallest balancers that exercise each kind of contract."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from accord.balancer import Aggregator, DirectWeighting, GramianAggregator, LearnedWeighting
from accord.method import Method


def record(needs) -> Method:
    return Method("probe", "none", 2026, "https://example.org", needs, "none")


def spread(like: Tensor, active: Tensor | None, value: float) -> Tensor:
    weights = torch.full((len(like),), value, dtype=like.dtype, device=like.device)
    return weights if active is None else torch.where(active, weights, 0)


class Mean(GramianAggregator):
    """1/T each, inactive tasks excluded."""

    method = record("gramian")

    def weights(self, gramian, *, losses=None, active=None):
        return spread(gramian, active, 1 / len(gramian))


class Sum(GramianAggregator):
    method = record("gramian")
    heads = "sum"

    def weights(self, gramian, *, losses=None, active=None):
        return spread(gramian, active, 1.0)


class Given(GramianAggregator):
    """Weights chosen by the test."""

    method = record("gramian")

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.register_buffer("chosen", torch.tensor(weights))

    def weights(self, gramian, *, losses=None, active=None):
        chosen = self.chosen.to(gramian)
        return chosen if active is None else torch.where(active, chosen, 0)


class Unit(GramianAggregator):
    """Mean of the normalised gradients: depends on the Gramian's diagonal."""

    method = record("gramian")

    def weights(self, gramian, *, losses=None, active=None):
        norms = gramian.diagonal().sqrt()
        weights = torch.where(norms > 0, 1 / norms, 0) / len(gramian)
        return weights if active is None else torch.where(active, weights, 0)


class Median(Aggregator):
    """Needs the whole Jacobian: the middle value of every column."""

    method = record("jacobian")

    def forward(self, jacobian, *, losses=None, active=None):
        rows = jacobian if active is None else jacobian[active]
        return rows.median(dim=0).values


class Equal(DirectWeighting):
    method = record("nothing")

    def forward(self, losses, *, gramian=None, active=None):
        return spread(losses, active, 1 / len(losses))


class ByNorm(DirectWeighting):
    """Weights from the Gramian, on whole losses."""

    method = record("gramian")

    def forward(self, losses, *, gramian=None, active=None):
        norms = gramian.diagonal().sqrt()
        weights = torch.where(norms > 0, 1 / norms, 0).to(losses)
        return weights if active is None else torch.where(active, weights, 0)


class Learned(LearnedWeighting):
    """Sum of exp(-s) L + s."""

    method = record("parameters")

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.linspace(-0.5, 0.5, tasks))

    def objective(self, losses, *, gramian=None, active=None):
        terms = torch.exp(-self.s) * losses + self.s
        return terms.sum() if active is None else torch.where(active, terms, 0).sum()
