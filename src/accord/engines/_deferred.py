"""Derivatives without a Jacobian: the Gramian, and one more backward to descend."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from accord.engines._autograd import pull
from accord.engines._engine import Derivatives, Problem


class Deferred(Derivatives):
    """The Gramian alone; the direction comes from one ordinary backward of the weighted losses.

    Args:
        problem: what was differentiated; its graph must still be usable.
        gramian: ``[T, T]`` float64.
        heads: by task, the gradients of ``Problem.own``.
        gramians: ``[G, T, T]`` of each group, where the engine knows them.
    """

    def __init__(
        self,
        problem: Problem,
        gramian: Tensor,
        heads: list[tuple[Tensor | None, ...]],
        gramians: Tensor | None = None,
    ) -> None:
        self._problem = problem
        self._gramian = gramian
        self._gramians = gramians
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._gramian

    def gramians(self) -> Tensor:
        return super().gramians() if self._gramians is None else self._gramians

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        return self._descend(weights, self._problem.shared, keep=self._problem.keep)

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        shared, groups = self._problem.shared, self._problem.groups
        found: list[Tensor | None] = [None] * len(shared)
        for number, (own, group) in enumerate(zip(weights, groups, strict=True), start=1):
            keep = self._problem.keep or number < len(groups)
            for i, part in zip(group, self._descend(own, [shared[i] for i in group], keep=keep), strict=True):
                found[i] = part
        return found

    def _descend(self, weights: Tensor, wanted: Sequence[Tensor], *, keep: bool) -> list[Tensor | None]:
        return list(pull(*self._problem.objectives.roots(weights.tolist()), wanted, keep=keep))
