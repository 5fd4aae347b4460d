"""Derivatives without a Jacobian: the Gramian, and one more backward to descend."""

from __future__ import annotations

from torch import Tensor

from accord.engines._autograd import pull
from accord.engines._engine import Derivatives, Problem


class Deferred(Derivatives):
    """The Gramian alone; the direction comes from one ordinary backward of the weighted losses.

    Args:
        problem: what was differentiated; its graph must still be usable.
        gramian: ``[T, T]`` float64.
        heads: by task, the gradients of ``Problem.own``.
    """

    def __init__(self, problem: Problem, gramian: Tensor, heads: list[tuple[Tensor | None, ...]]) -> None:
        self._problem = problem
        self._gramian = gramian
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._gramian

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        values = weights.tolist()
        used = [(edge, values[task]) for task, edge in self._problem.objectives.started() if values[task]]
        cotangents = [self._problem.objectives.cotangent(edge, value) for edge, value in used]
        return list(pull([edge for edge, _ in used], cotangents, self._problem.shared, keep=self._problem.keep))
