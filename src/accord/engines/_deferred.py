"""Derivatives without a Jacobian: the Gramian, and one more backward to descend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accord.engines._autograd import pull
from accord.engines._engine import Derivatives, Problem
from accord.engines._products import wide
from accord.engines._warn import warn_caller
from accord.errors import InexactGramianWarning

# Far above rounding, far below what a hook does.
_ALIKE = 1e-2


class Deferred(Derivatives):
    """The Gramian alone; the direction comes from one ordinary backward of the weighted losses.

    Args:
        problem: what was differentiated; its graph must still be usable.
        gramian: ``[T, T]`` float64.
        heads: by task, the gradients of ``Problem.own``.
        gramians: ``[G, T, T]`` of each group, where the engine knows them.
        exact: whether they are of the very gradients that a backward finds, so that the length of the direction
            follows from them. Where it does not, hooks have changed gradients that the engine never passed through
            them, and a warning says so.
    """

    def __init__(
        self,
        problem: Problem,
        gramian: Tensor,
        heads: list[tuple[Tensor | None, ...]],
        gramians: Tensor | None = None,
        *,
        exact: bool = False,
    ) -> None:
        self._problem = problem
        self._gramian = gramian
        self._gramians = gramians
        self._exact = exact
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._gramian

    def gramians(self) -> Tensor:
        return super().gramians() if self._gramians is None else self._gramians

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        found = self._descend(weights, self._problem.shared, keep=self._problem.keep)
        return self._checked(found, weights, self._gramian)

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        shared, groups = self._problem.shared, self._problem.groups
        found: list[Tensor | None] = [None] * len(shared)
        for number, (own, group) in enumerate(zip(weights, groups, strict=True), start=1):
            keep = self._problem.keep or number < len(groups)
            parts = self._descend(own, [shared[i] for i in group], keep=keep)
            for i, part in zip(group, self._checked(parts, own, self.gramians()[number - 1]), strict=True):
                found[i] = part
        return found

    def _descend(self, weights: Tensor, wanted: Sequence[Tensor], *, keep: bool) -> list[Tensor | None]:
        return list(pull(*self._problem.objectives.roots(weights.tolist()), wanted, keep=keep))

    def _checked(self, found: list[Tensor | None], weights: Tensor, gramian: Tensor) -> list[Tensor | None]:
        if self._exact and not _fits(found, weights.to(gramian), gramian):
            warn_caller(
                "the gradients that this step descends are not those whose inner products its weights come from: hooks "
                'inside the model change them, or it computes other numbers in every backward; use engine="loop"',
                InexactGramianWarning,
            )
        return found


def _fits(found: list[Tensor | None], weights: Tensor, gramian: Tensor) -> bool:
    """Whether ``found`` is as long as the Gramian says; so it is where that cannot be told."""
    parts = [_length(part) for part in found if part is not None and part.numel()]
    if not parts:
        return True
    length = torch.stack(parts).norm().to(gramian)
    wanted = (weights @ gramian @ weights).clamp(min=0).sqrt()
    scale = weights.abs() @ gramian.diagonal().clamp(min=0).sqrt()
    return not bool(length.isfinite() & ((length - wanted).abs() > _ALIKE * scale))


def _length(part: Tensor) -> Tensor:
    """Return the norm of a gradient, float64."""
    numbers = part.coalesce().values() if part.is_sparse else part
    return torch.linalg.vector_norm(numbers.to(wide(part.device)), dtype=torch.float64)
