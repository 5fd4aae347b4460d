"""In single precision, up to 64 tasks and over 40 orders of magnitude: every solver's answer meets its own conditions.

Residuals are inner products with unit gradients, in units of the lengths that were added up to make the direction, so
that they mean the same at every scale. Everything is judged in double precision on the single-precision gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from accord.aggregation import IMTLG, MGDA, CAGrad, ConFIG, DualProj, FairGrad, NashMTL, UPGrad
from accord.balancer import GramianAggregator, gramian_of
from accord.testing import FAMILIES

TOLERANCE = 1e-6
ANY = tuple(family for family in FAMILIES if family != "zero")


@dataclass
class Answer:
    """What a method made of one Jacobian ``[T, P]``, tasks with a zero gradient left out."""

    weights: np.ndarray
    lengths: np.ndarray
    overlaps: np.ndarray
    added: float
    direction: np.ndarray
    units: np.ndarray
    used: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """How much of the added length is each task's."""
        return self.weights * self.lengths / self.added


def answers(
    make: Callable[[int], GramianAggregator], families: tuple[str, ...] = ANY, sums: torch.dtype = torch.float32
) -> Iterator[Answer]:
    for tasks in (1, 2, 7, 33, 64):
        for number, family in enumerate(families):
            for exponent in (-20, 0, 20):
                rng = np.random.default_rng([tasks, number, exponent + 20])
                rows = FAMILIES[family](rng, tasks, 2 * tasks + 1)
                jacobian = torch.from_numpy(rows / (np.abs(rows).max() or 1.0) * 10.0**exponent).float()
                weights = make(tasks).weights(gramian_of(jacobian.to(sums)))
                assert weights.dtype == sums
                if not jacobian.any():
                    continue
                # In units of the longest gradient: squares of these lengths would leave single precision, not double.
                exact = jacobian.double().numpy() / 10.0**exponent
                yield judged(exact, weights.double().numpy())


def judged(jacobian: np.ndarray, weights: np.ndarray) -> Answer:
    lengths = np.linalg.norm(jacobian, axis=1)
    used = lengths > 0
    direction = weights @ jacobian
    added = float(np.abs(weights) @ lengths) or 1.0
    units = jacobian[used] / lengths[used, None]
    return Answer(weights[used], lengths[used], units @ direction / added, added, direction, units, used)


def test_mgda_finds_the_nearest_point_of_the_hull() -> None:
    for found in answers(lambda _: MGDA(), tuple(family for family in ANY if family != "zero rows")):
        assert found.weights.min() >= 0 and found.weights.sum() == pytest.approx(1, abs=TOLERANCE)
        nearness = found.direction @ found.direction / found.added / found.lengths
        assert (found.overlaps - nearness).min() >= -TOLERANCE  # no vertex lies nearer to 0


def one(tasks: int) -> np.ndarray:
    return np.eye(tasks)[tasks // 2]


@pytest.mark.parametrize(
    ("make", "lower"),
    [
        (lambda _: DualProj(), lambda tasks: np.full(tasks, 1 / tasks)),
        # One task's share of UPGrad is one projection; its sum over tasks has no condition of complementarity.
        (lambda tasks: UPGrad(torch.from_numpy(one(tasks))), one),
    ],
    ids=["dual_proj", "upgrad"],
)
def test_projections_are_onto_the_dual_cone(
    make: Callable[[int], GramianAggregator], lower: Callable[[int], np.ndarray]
) -> None:
    for found in answers(make):
        moved = (found.weights - lower(len(found.used))[found.used]) * found.lengths / found.added
        assert moved.min() >= -TOLERANCE
        assert found.overlaps.min() >= -TOLERANCE
        assert np.abs(moved * found.overlaps).max() <= TOLERANCE


def test_upgrad_harms_nobody() -> None:
    for found in answers(lambda _: UPGrad()):
        assert found.overlaps.min() >= -TOLERANCE


def test_nash_gives_every_task_the_same_weighted_gain() -> None:
    for found in answers(lambda _: NashMTL()):
        assert found.weights.min() > 0
        gains = found.shares * found.overlaps
        assert np.abs(gains - gains.mean()).max() <= TOLERANCE


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fair_gains_are_a_power_of_the_weights(alpha: float) -> None:
    # From Gramians multiplied out in double precision: where gradients all but cancel, gains are
    # differences of what single-precision sums round off.
    for found in answers(lambda _: FairGrad(alpha), sums=torch.float64):
        assert found.weights.min() > 0
        gains, power = found.overlaps * found.lengths, found.weights ** (-1 / alpha)
        wanted = power * (found.weights @ gains) / (found.weights @ power)
        assert np.abs((gains - wanted) / found.lengths).max() <= TOLERANCE


def test_cagrad_is_the_best_of_its_ball() -> None:
    for found in answers(lambda _: CAGrad(c=0.5), ("dense", "agreeing", "decades", "duplicates", "low rank")):
        tasks = len(found.weights)
        extra = 1.5 * found.weights - 1 / tasks  # (1 / T + z) / (1 + c)
        assert (extra * found.lengths).min() >= -TOLERANCE * found.added
        moved = (extra * found.lengths) @ found.units
        centre = found.lengths @ found.units / tasks
        assert np.linalg.norm(moved) <= 0.5 * np.linalg.norm(centre) + TOLERANCE * found.added
        if extra.sum() > TOLERANCE:
            # Nobody gains less than those that the ball was spent on, who all gain alike.
            gains = found.overlaps * found.lengths
            worst = extra.clip(0) @ gains / extra.clip(0).sum()
            assert ((gains - worst) / found.lengths).min() >= -TOLERANCE
            assert np.abs(extra * found.lengths / found.added * (gains - worst) / found.lengths).max() <= TOLERANCE


@pytest.mark.parametrize("method", [IMTLG, ConFIG])
def test_impartial_directions_are_at_one_angle(method: Callable[[], GramianAggregator]) -> None:
    for found in answers(lambda _: method(), ("dense", "agreeing", "decades")):
        assert np.ptp(found.overlaps) <= TOLERANCE
