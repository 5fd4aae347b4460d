"""Weights that are a function of training progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError, suggest
from accord.method import Method
from accord.weighting.share import check_tasks, share

Between = Literal["linear", "step"]
Point = tuple[int, Sequence[float]]
Schedule = Callable[[int], Sequence[float]]


class Scheduled(DirectWeighting):
    """Weight the losses by what a schedule says for this step: curricula, warm-ups, fading auxiliary losses.

    The schedule is a list of points ``(step, weights)``, between which weights move evenly or stay, or a function from
    step to weights. As with :class:`~accord.weighting.Fixed` only their ratios count. Steps are counted by calls, in
    ``state_dict``; with k micro-batches per step each counts as one.

    A weight that depends on a covariate of the samples, such as the time of a diffusion process, belongs into the loss,
    before its mean is taken; see the page on weightings.

    Shapes: losses ``[T]`` -> weights ``[T]``, not negative, summing to 1. Cost: one backward.

    Args:
        schedule: points in ascending order of steps, or a function; equal weights throughout if ``None``. Before the
            first point its weights hold, after the last one the last's.
        between: ``"linear"`` or ``"step"`` (the last point's weights hold until the next).

    Source: any; objectives that depend on time are learned in Jackson et al., Discovering Temporally-Aware
    Reinforcement Learning Algorithms, 2024, whose learned schedules can be run here as functions of the step.
    """

    method: ClassVar[Method] = Method(
        title="Scheduled weights",
        paper="Discovering Temporally-Aware Reinforcement Learning Algorithms",
        year=2024,
        url="https://arxiv.org/abs/2402.05828",
        needs="nothing",
        cost="1 backward",
        catalogue=(414, 522),
    )
    step: Tensor

    def __init__(self, schedule: Sequence[Point] | Schedule | None = None, between: Between = "linear") -> None:
        super().__init__()
        if between not in get_args(Between):
            raise ConfigurationError(f"Scheduled has no way {between!r}. {suggest(str(between), get_args(Between))}")
        self.schedule = schedule if schedule is None or callable(schedule) else _points(schedule)
        self.between = between
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        relative = torch.ones_like(losses, dtype=torch.float64)
        if self.schedule is not None:
            relative = _checked(self._at(int(self.step)), "a schedule's weights").to(losses.device)
            check_tasks(len(relative), losses, "Scheduled")
        self.step += 1
        return share(relative, losses, active)

    def _at(self, step: int) -> Sequence[float]:
        if callable(self.schedule):
            return self.schedule(step)
        points = self.schedule or []
        after = next((place for place, (start, _) in enumerate(points) if start > step), len(points))
        if after == 0:
            return points[0][1]
        (start, old), (end, new) = points[after - 1], points[min(after, len(points) - 1)]
        part = (step - start) / (end - start) if end > start and self.between == "linear" else 0.0
        return [(1 - part) * before + part * behind for before, behind in zip(old, new, strict=True)]

    def extra_repr(self) -> str:
        return f"schedule={self.schedule}, between={self.between!r}"


def _checked(weights: Sequence[float], what: str) -> Tensor:
    found = torch.as_tensor(weights, dtype=torch.float64)
    if found.ndim != 1 or not bool(found.isfinite().all()) or bool((found < 0).any()) or not bool(found.any()):
        raise ConfigurationError(
            f"{what} are one finite, non-negative number per task, not all 0; got {found.tolist()}"
        )
    return found


def _points(schedule: Sequence[Point]) -> list[tuple[int, list[float]]]:
    if not schedule:
        raise ConfigurationError("a schedule has one point (step, weights) at least; got an empty list")
    points = [(int(start), _checked(weights, f"the weights of step {start}").tolist()) for start, weights in schedule]
    starts = [start for start, _ in points]
    if starts != sorted(set(starts)) or starts[0] < 0:
        raise ConfigurationError(f"the steps of a schedule ascend from 0 or later; got {starts}")
    if len({len(weights) for _, weights in points}) > 1:
        raise ConfigurationError(f"every point of a schedule weighs the same tasks; got {points}")
    return points
