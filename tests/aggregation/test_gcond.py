"""GCond against its procedure on the gradients themselves, and the way it accumulates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn, tensor

import accord
from accord.aggregation import GCond
from accord.aggregation.arbitration import angled
from accord.errors import ConfigurationError
from accord.testing import check_aggregator

CRITICAL, MAIN, WEAK = -0.8, -0.5, 0.0


class OnVectors:
    """The published procedure, on vectors, with the previous gradients as they came."""

    def __init__(self, smooth: bool, window: int) -> None:
        self.smooth, self.window = smooth, window
        self.previous, self.usual, self.history = None, None, []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(rows, axis=1)
        self.usual = norms if self.usual is None else 0.95 * self.usual + 0.05 * norms
        grads = rows.copy()
        for _ in range(2 * len(rows)):
            lengths = np.linalg.norm(grads, axis=1)
            worst, pair = WEAK - 1e-12, None
            for i in range(len(rows)):
                for j in range(i + 1, len(rows)):
                    if min(lengths[i], lengths[j]) > 1e-9 and grads[i] @ grads[j] / lengths[i] / lengths[j] < worst:
                        worst, pair = grads[i] @ grads[j] / lengths[i] / lengths[j], (i, j)
            if pair is None:
                break
            self.resolve(grads, lengths, worst, *pair)
        self.previous = rows
        return grads.mean(axis=0)

    def resolve(self, grads: np.ndarray, lengths: np.ndarray, cosine: float, i: int, j: int) -> None:
        if not self.smooth and cosine >= MAIN:
            one, two = grads[i].copy(), grads[j].copy()
            grads[i] -= one @ two / (two @ two) * two
            grads[j] -= one @ two / (one @ one) * one
            return
        winner, loser = self.arbitrate(grads, lengths, i, j)
        if self.window:
            self.history = [*self.history, winner][-self.window :]
        if not self.smooth and cosine < CRITICAL:
            grads[loser] = 0
            return
        w, l = grads[winner].copy(), grads[loser].copy()  # noqa: E741
        angle = math.pi
        if cosine >= MAIN:
            angle = math.pi / 2 * (1 - (cosine - MAIN) / (WEAK - MAIN))
        elif cosine > CRITICAL:
            angle = math.pi / 2 + math.pi / 2 * ((cosine - MAIN) / (CRITICAL - MAIN)) ** 2
        mine, yours = (math.sin(angle), math.sin(min(angle, math.pi / 2))) if self.smooth else (0.0, 1.0)
        grads[winner] -= mine * (w @ l) / (l @ l) * l
        grads[loser] -= yours * (w @ l) / (w @ w) * w

    def arbitrate(self, grads: np.ndarray, lengths: np.ndarray, i: int, j: int) -> tuple[int, int]:
        if self.window and len(self.history) == self.window and len(set(self.history)) == 1:
            if self.history[0] == i:
                return j, i
            if self.history[0] == j:
                return i, j
        scores, strength = [], {k: lengths[k] / self.usual[k] for k in (i, j)}
        for k in (i, j):
            old = None if self.previous is None else self.previous[k]
            steady = 0.0 if old is None else max(grads[k] @ old / lengths[k] / np.linalg.norm(old), 0.0)
            scores.append(0.8 * steady + 0.2 * strength[k] / (strength[i] + strength[j]))
        return (j, i) if scores[1] > scores[0] else (i, j)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("window", [0, 3])
def test_it_is_the_published_procedure(smooth: bool, window: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tasks = int(rng.integers(2, 6))
        aggregator, oracle = GCond(smooth=smooth, window=window), OnVectors(smooth, window)
        rows = rng.standard_normal((tasks, 4))
        for _ in range(6):
            rows = 0.6 * rows + rng.standard_normal((tasks, 4)) * 10.0 ** rng.uniform(-1, 1, (tasks, 1))
            assert aggregator(torch.from_numpy(rows)).numpy() == pytest.approx(oracle(rows), abs=1e-9)
        if window:
            assert len(set(oracle.history)) > 1 or tasks > 2


def test_by_hand() -> None:
    # Cosine -1/2 is the main threshold: both lose all of their projections.
    half, root = 0.5, math.sqrt(3) / 2
    rows = tensor([[2.0, 0.0], [-half, root]], dtype=torch.float64)
    first = [2 - 2 * half * half, 2 * half * root]  # (2, 0) + (-1/2, root): less 2 * (-1/2) times the other unit
    assert GCond()(rows).tolist() == pytest.approx([(first[0] + 0) / 2, (first[1] + root) / 2])
    # In the critical zone the first wins a tie, and the second is dropped.
    opposed = tensor([[2.0, 0.0], [-1.0, 0.1]], dtype=torch.float64)
    assert GCond(smooth=False)(opposed).tolist() == pytest.approx([1.0, 0.0])
    # By angle the winner keeps all, and the loser what is at right angles.
    assert GCond()(opposed).tolist() == pytest.approx([1.0, 0.05])


def test_the_steadier_wins_and_a_habitual_winner_yields() -> None:
    aggregator = GCond(smooth=False, window=3)
    found = []
    for step in range(5):
        if step == 3:  # what it has learned so far is in its state
            kept, aggregator = aggregator.state_dict(), GCond(smooth=False, window=3)
            aggregator.load_state_dict(kept)
        # The first keeps its direction, the second wavers; both keep their lengths.
        rows = tensor([[0.0, 0.0, 1.0], [0.3 * (-1) ** step, 0.0, -1.0]], dtype=torch.float64)
        found.append(aggregator(rows).tolist())
    for won in (*found[:3], found[4]):
        assert won == pytest.approx([0.0, 0.0, 0.5])
    assert found[3] == pytest.approx([-0.15, 0.0, -0.5])
    assert aggregator.winners.tolist() == [0, 1, 0]


def test_the_stronger_wins_where_neither_is_steadier() -> None:
    aggregator = GCond(smooth=False, stability=0.0)
    rows = tensor([[0.0, 1.0], [-0.1, -10.0]], dtype=torch.float64)
    assert aggregator(rows).tolist() == pytest.approx([0.0, 0.5])
    # The second is three times as long as it was before, the first as it was.
    assert aggregator(tensor([[1.0], [3.0]]) * rows).tolist() == pytest.approx([-0.15, -15.0])


def test_habits_are_those_of_tasks_and_not_of_places() -> None:
    with_absent, alone = GCond(smooth=False, window=2), GCond(smooth=False, window=2)
    active, yielded = tensor([False, True, True]), 0
    for step in range(6):
        rows = tensor([[0.0, 0.0, 1.0], [0.3 * (-1) ** step, 0.0, -1.0]], dtype=torch.float64)
        wanted = alone(rows)
        assert torch.equal(with_absent(torch.cat([rows[:1], rows]), active=active), wanted)
        yielded += bool(wanted[2] < 0)
    assert yielded, "a steadier gradient that never yields tests nothing"


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_power_bends_the_winners_share(power: float) -> None:
    # Halfway between the main and the critical threshold; of two alike the first wins.
    loser = [-0.65, math.sqrt(1 - 0.65**2)]
    rows = tensor([[1.0, 0.0], loser], dtype=torch.float64)
    given = 0.65 * math.sin(math.pi / 2 * (1 + 0.5**power))
    wanted = (rows[0] + given * rows[1] + rows[1] + 0.65 * rows[0]) / 2
    assert GCond(power=power)(rows).tolist() == pytest.approx(wanted.tolist())


def test_angles() -> None:
    thresholds = (CRITICAL, MAIN, WEAK)
    assert angled(-1e-9, thresholds, 2.0).tolist() == pytest.approx([0.0, 0.0], abs=1e-8)
    assert angled(-0.25, thresholds, 2.0).tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert angled(-0.5, thresholds, 2.0).tolist() == pytest.approx([1.0, 1.0])
    assert angled(-0.65, thresholds, 2.0).tolist() == pytest.approx([math.sin(math.pi / 2 * 1.25), 1.0])
    assert angled(-0.95, thresholds, 2.0).tolist() == pytest.approx([0.0, 1.0])


def test_it_acts_on_sums() -> None:
    rng = np.random.default_rng(0)
    slow, plain = GCond(accumulate=3), GCond()
    for _ in range(4):
        micro = [torch.from_numpy(rng.standard_normal((3, 5))) for _ in range(3)]
        assert [slow(rows).any().item() for rows in micro[:2]] == [False, False]
        assert slow(micro[2]).tolist() == pytest.approx(plain(sum(micro, torch.zeros(3, 5))).tolist())


def test_one_task_per_micro_batch() -> None:
    rng = np.random.default_rng(1)
    rows = torch.from_numpy(rng.standard_normal((2, 5)))
    slow = GCond(accumulate=2)
    assert not slow(rows, active=tensor([True, False])).any()
    # Two steps of the mean, of one task each, would move by their sum.
    assert slow(rows, active=tensor([False, True])).tolist() == pytest.approx((2 * GCond()(rows)).tolist())


def test_absent_tasks_leave_it_on_the_scale_of_the_mean() -> None:
    row = tensor([[3.0, -1.0]], dtype=torch.float64)
    whole, slow = row.expand(3, 2), GCond(accumulate=3)
    for active in ([True, True, False], [True, False, False]):
        assert not slow(whole, active=tensor(active)).any()
    assert slow(whole, active=tensor([True, True, False])).tolist() == pytest.approx((3 * row[0]).tolist())


def test_a_task_that_no_call_had_is_remembered_as_it_was() -> None:
    slow, rows = GCond(accumulate=2), tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    for active in ([True, True], [True, True], [True, False], [True, False]):
        slow(rows, active=tensor(active))
    assert slow.lengths[1] == 3.0 and slow.previous[1].tolist() == [0.0, 1.0]  # of two halves, once each


def test_a_resumed_instance_has_what_was_gathered() -> None:
    rng = np.random.default_rng(2)
    steps = [torch.from_numpy(rng.standard_normal((3, 5))) for _ in range(8)]
    first, second = GCond(accumulate=3), GCond(accumulate=3)
    for rows in steps[:4]:
        first(rows)
    second.load_state_dict(first.state_dict())
    for rows in steps[4:]:
        assert torch.equal(first(rows), second(rows))
    check_aggregator(lambda: GCond(smooth=False), ("unanimous", "within_scale"), examples=4)


def test_in_a_training_step() -> None:
    torch.manual_seed(0)
    trunk, head = nn.Linear(4, 3), nn.Linear(3, 2)
    batches, balancer = torch.randn(4, 6, 4), GCond(accumulate=4)

    def losses(batch: torch.Tensor) -> list[torch.Tensor]:
        first, second = head(trunk(batch)).unbind(dim=1)
        return [(first - 1).square().mean(), (second + first).square().mean()]

    whole = accord.jacobian([sum(parts) / 4 for parts in zip(*map(losses, batches), strict=True)], trunk.parameters())
    for batch in batches:
        accord.backward([loss / 4 for loss in losses(batch)], shared=trunk.parameters(), balancer=balancer)
    found = torch.cat([parameter.grad.flatten() for parameter in trunk.parameters() if parameter.grad is not None])
    torch.testing.assert_close(found, GCond()(whole), rtol=1e-4, atol=1e-6)


def test_options_are_checked() -> None:
    for options in (
        {"accumulate": 0},
        {"window": -1},
        {"stability": 1.5},
        {"memory": 1.0},
        {"power": 0.0},
        {"thresholds": (0.0, -0.5, 0.5)},
        {"thresholds": (-2.0, -0.5, 0.5)},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            GCond(**options)
