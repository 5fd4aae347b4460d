"""For each task the others that look its way and still add something new."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.grouping.affinity import Evidence
from accord.grouping.latest import Latest
from accord.method import Method


class TaskSelection(Latest):
    """Consistency of the tasks that a greedy selection by consistency and diversity takes; 0 for the others.

    For a target task the other tasks are gone through from the most consistent one on, consistency being the cosine of
    the tasks' mean features. One is taken if the tasks taken so far then cover the target better by the factor
    ``1 + margin``; the first that does not ends the selection. Coverage is the part of the target's squared length that
    lies in the span of the means taken. ``A_ij`` is the consistency of i with target j if it was taken, 0 (neutral)
    otherwise, so in (0, 1] or 0 and not the same in both directions: tasks of negative consistency are never taken.

    Shapes: ``means [T, D]``. Cost: one joint model, O(T^2 D min(T, D)) after that.

    Args:
        tasks: T.
        margin: 0 or more.

    Source: Xu et al., Towards Few-Shot Adaptation of Foundation Models via Multitask Finetuning, 2024. There a task has
    inputs of its own, whose mean features are compared, and coverage is that of an ellipsoid around them. Tasks on the
    same rows differ by their labels only, so a task's mean is that of its positive rows (weighted by its label, where
    that is a number) less that of all rows, and coverage is the span's, as in the paper's linear case.
    """

    method: ClassVar[Method] = Method(
        title="Consistency and diversity",
        paper="Towards Few-Shot Adaptation of Foundation Models via Multitask Finetuning",
        year=2024,
        url="https://arxiv.org/abs/2402.15017",
        needs="data",
        cost="one joint model + O(T^2 D min(T, D))",
        catalogue=(91,),
    )
    hears = ("means",)

    def __init__(self, tasks: int, margin: float = 0.1) -> None:
        super().__init__(tasks)
        if not margin >= 0:
            raise ConfigurationError(f"margin must be 0 or more, not {margin!r}")
        self.margin = margin

    def compare(self, evidence: Evidence) -> Tensor:
        assert evidence.means is not None
        lengths = evidence.means.norm(dim=1, keepdim=True)
        usable = lengths.isfinite() & (lengths > 0)
        units = torch.where(usable, evidence.means / lengths, 0.0)
        cosines = (units @ units.T).clamp(-1, 1)
        found = torch.zeros(self.tasks, self.tasks, dtype=torch.float64)
        for j in range(self.tasks):
            taken = select(units, j, self.margin)
            found[taken, j] = cosines[taken, j]
        unknown = ~usable.flatten()
        found.fill_diagonal_(1.0)
        return torch.where(unknown[:, None] | unknown, torch.nan, found)


def select(units: Tensor, target: int, margin: float) -> list[int]:
    """Return the tasks taken for ``target``, the most consistent first.

    Args:
        units: ``[T, D]`` of length 1, or 0 where a task has none.
        target: its position.
        margin: by what factor less 1 the coverage must grow.
    """
    cosines = units @ units[target]
    order = sorted((i for i in range(len(units)) if i != target), key=lambda i: (-float(cosines[i]), i))
    taken: list[int] = []
    basis = torch.zeros(0, units.shape[1], dtype=units.dtype)
    covered = 0.0
    for i in order:
        if float(cosines[i]) <= 0:
            break
        fresh = units[i] - basis.T @ (basis @ units[i])
        fresh = fresh - basis.T @ (basis @ fresh)  # once more: rounding leaves some of the span behind
        length = float(fresh.norm())
        added = float(fresh @ units[target]) ** 2 / length**2 if length > 1e-9 else 0.0
        if not added > max(margin * covered, 1e-12):
            break
        taken.append(i)
        basis = torch.cat([basis, fresh[None] / length])
        covered += added
    return taken
