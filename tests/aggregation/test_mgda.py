"""MGDA's normalisation; the method itself is in the hand cases and the solver's tests."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor, tensor

import accord
from accord.aggregation import MGDA, Aggregator
from accord.errors import ConfigurationError
from accord.testing import check_aggregator


def test_unit_gradients_decide_and_gradients_as_they_are_move() -> None:
    # At right angles, units are balanced by equal weights; on the gradients themselves the shorter one would rule.
    assert MGDA("l2")(tensor([[1.0, 0.0], [0.0, 2.0]])).tolist() == pytest.approx([0.5, 1.0])
    # Units (1, 0) and (-1, 1) / sqrt(2) have equal length, so their shortest mixture is even as well.
    assert MGDA("l2")(tensor([[1.0, 0.0], [-1.0, 1.0]])).tolist() == pytest.approx([0.0, 0.5])
    # Three: units (1, 0), (0, 1) and their bisector, which lies farther out and is not needed.
    third = [5 / math.sqrt(2), 5 / math.sqrt(2)]
    assert MGDA("l2")(tensor([[1.0, 0.0], [0.0, 2.0], third])).tolist() == pytest.approx([0.5, 1.0])


def test_normalised_it_keeps_the_contract() -> None:
    check_aggregator(lambda: MGDA("l2"), ("unanimous", "within_scale", "convex"), examples=5)


LOSSES = tensor([1.0, 1.2, 1.4], dtype=torch.float64)


class Shown(Aggregator):
    """MGDA that is always shown the same kind of losses, as :func:`accord.backward` would show it."""

    method = MGDA.method

    def __init__(self, normalisation: Literal["loss", "loss+"]) -> None:
        super().__init__()
        self.mgda = MGDA(normalisation)

    def forward(self, jacobian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return self.mgda(jacobian, losses=torch.full((len(jacobian),), 3.0), active=active)


def test_losses_as_divisors_by_hand() -> None:
    # Divided by 1/2 and 1, gradients (1, 0) and (0, 2) are both of length 2 and at right angles.
    losses = tensor([0.5, 1.0])
    assert MGDA("loss")(tensor([[1.0, 0.0], [0.0, 2.0]]), losses=losses).tolist() == pytest.approx([0.5, 1.0])
    # Units divided by 1/2 and 1 are (2, 0) and (0, 1): the foot of the perpendicular has weights 1/5 and 4/5.
    assert MGDA("loss+")(tensor([[1.0, 0.0], [0.0, 2.0]]), losses=losses).tolist() == pytest.approx([0.2, 1.6])


@given(some.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_it_is_the_shortest_mixture_of_divided_gradients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    jacobian, losses = rng.standard_normal((3, 7)), 10.0 ** rng.uniform(-2, 2, 3)
    lengths = np.linalg.norm(jacobian, axis=1)
    for normalisation, divisor in (("l2", lengths), ("loss", losses), ("loss+", losses * lengths)):
        divided = jacobian / divisor[:, None]
        weights = (
            MGDA(normalisation)
            .weights(torch.from_numpy(jacobian @ jacobian.T), losses=torch.from_numpy(losses))
            .numpy()
        )
        # Optimal on the simplex: the mixture has no larger inner product with any of them than with itself.
        mixture = weights @ divided
        assert (divided @ mixture >= mixture @ mixture - 1e-9 * (divided**2).sum()).all()


def test_a_loss_of_zero_is_taken_at_its_limit() -> None:
    rows = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 5)))
    limit = MGDA("loss")(rows, losses=tensor([1e-9, 2.0, 3.0]))
    assert MGDA("loss")(rows, losses=tensor([0.0, 2.0, 3.0])).tolist() == pytest.approx(limit.tolist(), abs=1e-7)
    assert MGDA("loss")(rows, losses=torch.zeros(3)).tolist() == pytest.approx(MGDA()(rows).tolist())


def test_a_losss_unit_plays_no_part() -> None:
    rows = torch.from_numpy(np.random.default_rng(2).standard_normal((3, 9)))
    factors = tensor([1e8, 1.0, 1e-8], dtype=torch.float64)
    before = MGDA("loss").weights(rows @ rows.T, losses=LOSSES)
    scaled = factors[:, None] * rows
    after = MGDA("loss").weights(scaled @ scaled.T, losses=factors * LOSSES)
    assert before.min() > 0.01 and after.tolist() == pytest.approx(before.tolist())


@pytest.mark.parametrize("normalisation", ["loss", "loss+"])
def test_with_losses_it_keeps_the_contract(normalisation: Literal["loss", "loss+"]) -> None:
    check_aggregator(lambda: Shown(normalisation), ("unanimous", "within_scale"), examples=5)


@pytest.mark.parametrize("engine", ["loop", "gramian"])
def test_in_a_training_step(engine: str) -> None:
    weight = torch.nn.Parameter(tensor([2.0, 3.0]))
    step = accord.backward(
        [weight[0] ** 2, weight[1] ** 3], shared=[weight], balancer=MGDA("loss"), engine=engine
    )  # gradients 4 and 27 over losses 4 and 27: lengths 1 and 1
    assert step.weights is not None and step.weights.tolist() == pytest.approx([0.5, 0.5])


def test_losses_that_cannot_be_divisors_are_named() -> None:
    rows = torch.eye(3)
    with pytest.raises(ConfigurationError, match="got none: pass losses="):
        MGDA("loss")(rows)
    with pytest.raises(ConfigurationError, match=r"task 2 is -0.5, below 0: choose normalisation=\"l2\""):
        MGDA("loss+")(rows, losses=tensor([1.0, -3.0, -0.5]), active=tensor([True, False, True]))


def test_the_normalisation_is_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"no normalisation 'los'\. Did you mean 'loss'"):
        MGDA("los")  # pyright: ignore[reportArgumentType]
