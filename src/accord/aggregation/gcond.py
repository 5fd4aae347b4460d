"""Gradient conductor: accumulated gradients, and pairwise surgery in which an arbitrator says who gives way."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.arbitration import Arbitrator, conduct
from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.aggregation.remembered import remember
from accord.errors import ConfigurationError
from accord.linalg import normalise
from accord.method import Method


class GCond(JacobianAggregator):
    """Resolve the worst conflict first, again and again: the gradient that is steadier and stronger gives way less.

    While the least cosine between two gradients is below the weak threshold, at most ``2 T`` times: an arbitrator
    scores both by ``stability * max(cos with its own previous gradient, 0) + (1 - stability) * its length, relative to
    its running mean, as a part of the pair's``; the higher score wins, unless that task has won every one of the last
    ``window`` conflicts, when it yields. Then, at once, each loses a part of its projection on the other: the winner
    ``sin(e)`` of it, the loser ``sin(min(e, pi / 2))``, where the angle ``e`` grows from 0 at the weak threshold to
    ``pi / 2`` at the main one and, with ``power``, to ``pi`` at the critical one. So mild conflicts soften both, severe
    ones only the loser. The direction is the mean of what is left.

    With ``accumulate=K`` it acts on every ``K``-th call, on the sums of the gradients since it last did, and the calls
    between return 0: call :func:`accord.backward` for each of ``K`` micro-batches, and the optimiser after the last. A
    task may be absent from some of them (the paper's stochastic mode has one task per micro-batch); the direction is
    then on the scale of the ``K`` calls' means over the tasks they had, added up::

        balancer = GCond(accumulate=8)
        for batch in micro_batches:  # eight of them
            accord.backward([loss / 8 for loss in losses(batch)], shared=params, balancer=balancer)
        optimiser.step()

    Calls without any task are not counted. Under ``accord fit`` every step is one batch, and 1 is right.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T^2 P) on the calls that act. State: the previous gradients'
    directions ``[T, P]``, running lengths, and the sums ``[T, P]`` if it accumulates.

    Args:
        accumulate: calls per step, 1 or more.
        smooth: whether conflicts are resolved by angle, as above; otherwise in zones: below the critical cosine the
            loser is dropped, below the main one it alone is projected, below the weak one both are.
        thresholds: cosines ``(critical, main, weak)`` in [-1, 1], not decreasing.
        window: 0 or more conflicts; 0 lets a task win for good.
        stability: in [0, 1], what steadiness counts for; strength counts for the rest.
        memory: in [0, 1), of the running lengths.
        power: above 0; larger ones keep the winner's share of giving way for longer.

    Source: Limarenko et al., GCond: Gradient Conflict Resolution via Accumulation-based Stabilization for Large-Scale
    Multi-Task Learning, 2025; algorithm and defaults follow the authors' code. It differs from its own description in
    the window (which the description gives to the habitual winner, the code to the other: so do we) and in what it
    calls the previous gradient (what surgery left of it; here the gradient itself, as described). Its running lengths
    start from 1, here from the first length, so that losses' units play no part. It adds up; here the mean, the common
    scale. Its momentum, 0.85 in place of the optimiser's, is left to the optimiser. A zero gradient meets nobody.
    """

    method: ClassVar[Method] = Method(
        title="GCond",
        paper="GCond: Gradient Conflict Resolution via Accumulation-based Stabilization for Large-Scale Multi-Task "
        "Learning",
        year=2025,
        url="https://arxiv.org/abs/2509.07252",
        needs="jacobian",
        cost="T backwards + O(T^2 P), and up to 2 T P numbers of state",
    )
    previous: Tensor
    lengths: Tensor
    winners: Tensor
    sums: Tensor
    calls: Tensor

    def __init__(
        self,
        accumulate: int = 1,
        smooth: bool = True,
        thresholds: tuple[float, float, float] = (-0.8, -0.5, 0.0),
        window: int = 3,
        stability: float = 0.8,
        memory: float = 0.95,
        power: float = 2.0,
    ) -> None:
        super().__init__()
        critical, main, weak = thresholds
        if not -1.0 <= critical <= main <= weak <= 1.0:
            raise ConfigurationError(f"thresholds are three cosines in [-1, 1], not decreasing; got {thresholds}")
        for name, value, right in (
            ("accumulate", accumulate, accumulate >= 1),
            ("window", window, window >= 0),
            ("stability", stability, 0.0 <= stability <= 1.0),
            ("memory", memory, 0.0 <= memory < 1.0),
            ("power", power, 0.0 < power < math.inf),
        ):
            if not right:
                raise ConfigurationError(
                    f"GCond's {name} is out of its range, which its documentation gives; got {value}"
                )
        self.accumulate, self.smooth, self.thresholds = accumulate, smooth, (critical, main, weak)
        self.stability, self.memory, self.power = stability, memory, power
        self.register_buffer("previous", torch.zeros(0, 0))
        self.register_buffer("lengths", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("winners", torch.full((window,), -1, dtype=torch.int64))  # the latest last, -1 for none
        self.register_buffer("sums", torch.zeros(0, 0))
        self.register_buffer("calls", torch.zeros(0, dtype=torch.int64))  # by task, and in all at the end

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        kept = present.kept
        if self.accumulate > 1:
            rows, kept = self._gathered(rows, present)
            if not len(rows):
                return rows.new_zeros(rows.shape[1])
            return len(rows) * self._conducted(rows, kept, present.tasks)
        return self._conducted(rows, kept, present.tasks)

    def _gathered(self, rows: Tensor, present: Present) -> tuple[Tensor, Tensor]:
        """Add the gradients up; return the sums and their tasks on every ``accumulate``-th call, else none."""
        self.sums = remember(self.sums, rows, present.tasks, "GCond")
        if not self.calls.numel():
            self.calls = torch.zeros(present.tasks + 1, dtype=torch.int64, device=rows.device)
        self.sums[present.kept] += rows / len(rows)
        self.calls[present.kept] += 1
        self.calls[-1] += 1
        if int(self.calls[-1]) < self.accumulate:
            return rows[:0], present.kept[:0]
        kept = self.calls[:-1].nonzero().squeeze(1)
        sums = self.sums[kept]
        self.sums.zero_()
        self.calls.zero_()
        return sums, kept

    def _conducted(self, rows: Tensor, kept: Tensor, tasks: int) -> Tensor:
        self.previous = remember(self.previous, rows, tasks, "GCond")
        if not self.lengths.numel():
            self.lengths = torch.zeros(tasks, dtype=torch.float64, device=rows.device)
        units, lengths = unit_rows(rows)
        usual = self.lengths[kept]
        usual = torch.where(usual > 0, self.memory * usual + (1 - self.memory) * lengths, lengths)
        cosines = normalise((units @ units.T).double().cpu().numpy())[0]
        turned = (units @ self.previous[kept].T).double().cpu().numpy()
        self.lengths[kept], self.previous[kept] = usual, units
        who = kept.cpu().numpy()
        arbitrator = Arbitrator(turned, usual.cpu().numpy(), self.stability, who, self.winners.tolist())
        size = float(lengths.max())
        if size == 0.0:
            return torch.zeros_like(rows[0])
        mixed = conduct(
            cosines, lengths.cpu().numpy(), arbitrator, self.thresholds, self.power if self.smooth else None
        )
        if self.winners.numel():
            self.winners = torch.tensor(arbitrator.winners, dtype=torch.int64).to(self.winners.device)
        return torch.from_numpy(mixed.mean(axis=0) / size).to(rows) @ units * size

    def extra_repr(self) -> str:
        return f"accumulate={self.accumulate}, smooth={self.smooth}, thresholds={self.thresholds}"


def unit_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the directions ``[n, P]`` of gradients (0 for a zero one) and their lengths ``[n]`` in float64."""
    peaks = rows.abs().amax(dim=1, keepdim=True)
    scaled = rows / torch.where(peaks > 0, peaks, torch.ones_like(peaks))  # squares of huge entries would overflow
    lengths = scaled.norm(dim=1, keepdim=True)
    units = scaled / torch.where(lengths > 0, lengths, torch.ones_like(lengths))
    return units, (lengths.double() * peaks.double()).squeeze(1)
