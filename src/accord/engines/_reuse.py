"""A step whose weights are known before any gradient is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from accord.balancer import Balancer
from accord.engines._call import Call
from accord.engines._engine import Derivatives, Problem
from accord.engines._health import magnitudes, not_finite
from accord.engines._split import split
from accord.engines.every import Every


class Unmeasured(Derivatives):
    """The gradients of the heads alone; the direction is one ordinary backward.

    ``gramian`` tells apart only who is well: it is 0, or not finite on the diagonal where a task's gradient is not.

    Args:
        problem: what is differentiated; its graph stays usable.
        descend: what turns weights into a direction.
    """

    def __init__(self, problem: Problem, descend: Callable[[Tensor], list[Tensor | None]]) -> None:
        parts = split(replace(problem, keep=True))
        self.heads = parts.heads
        self._descend = descend
        entering = {t: [*row, *parts.direct[t]] for t, row in enumerate(parts.cotangents)}
        ill = not_finite({task: magnitudes(gradients) for task, gradients in entering.items()})
        count = len(problem.objectives.names)
        self._health = torch.diag(torch.tensor([ill.get(task, 0.0) for task in range(count)], dtype=torch.float64))

    def gramian(self) -> Tensor:
        return self._health

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        return self._descend(weights)


def reuses(balancer: Balancer, call: Call) -> bool:
    """Whether this step's weights are known already."""
    if not isinstance(balancer, Every) or call.graph.hides or call.team.sharded:
        return False
    return not balancer.due(call.objectives.active)
