"""Two levels of calibration: between tasks, then between the branches of several modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.imtlg import IMTLG
from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.balancer import GramianAggregator, gramian_of
from accord.errors import ConfigurationError
from accord.method import Method


class FULLER(JacobianAggregator):
    """Weigh the tasks by their gradients at the last shared layer, then let every modality's branch move equally far.

    For a model whose branches, one per modality, feed a fused trunk. First level: the weights that ``tasks`` finds from
    the gradients over the last layer apply to the whole. Second level: the parts of the direction that belong to the
    branches are brought to one length, the mean of their lengths, so that no modality is trained at the expense of
    another. What a branch receives is linear in what arrives at its end, so this is the calibration of the gradients
    that are propagated into it. A branch without gradient stays without.

    ``shared`` must list the branches' parameters first, one branch after the other, and the last layer's last::

        sizes = [sum(p.numel() for p in branch.parameters()) for branch in (lidar, camera)]
        balancer = FULLER(sizes, last=sum(p.numel() for p in fuse[-1].parameters()))
        shared = [*lidar.parameters(), *camera.parameters(), *fuse.parameters()]
        accord.backward(losses, shared=shared, balancer=balancer)

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost that of ``tasks``, + O(T P).

    Args:
        branches: how many of the P numbers each branch has; none for the first level alone.
        last: how many numbers the last layer has; all that belong to no branch if ``None``.
        tasks: the rule of the first level; IMTL-G if ``None``.

    Source: Huang et al., FULLER: Unified Multi-modality Multi-task 3D Perception via Multi-level Gradient Calibration,
    2023. The paper fixes where the two calibrations are made and that the second one makes magnitudes equal. The rule
    for the tasks is an argument here and its default our choice, as is the common length: the mean keeps the common
    scale on average. Equal gradients of all tasks give that gradient back within each branch, and overall where the
    branches' lengths agree.
    """

    method: ClassVar[Method] = Method(
        title="FULLER",
        paper="FULLER: Unified Multi-modality Multi-task 3D Perception via Multi-level Gradient Calibration",
        year=2023,
        url="https://arxiv.org/abs/2307.16617",
        needs="jacobian",
        cost="T backwards + O(T P)",
        catalogue=(146,),
    )

    def __init__(
        self, branches: Sequence[int] = (), last: int | None = None, tasks: GramianAggregator | None = None
    ) -> None:
        super().__init__()
        if any(size < 1 for size in branches):
            raise ConfigurationError(f"branches are counts of parameters, each at least 1; got {list(branches)}")
        if last is not None and last < 1:
            raise ConfigurationError(f"last is the count of the last layer's parameters, at least 1; got {last}")
        self.branches = tuple(branches)
        self.last = last
        self.tasks = IMTLG() if tasks is None else tasks

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        width = rows.shape[1]
        fused = width - sum(self.branches)
        if fused < (self.last or 1):
            raise ConfigurationError(
                f"branches of {list(self.branches)} numbers and a last layer of {self.last or 1} or more do not fit "
                f"into the {width} of the shared parameters"
            )
        weights = self._weights(rows[:, width - (self.last or fused) :], present)
        return self._levelled(weights.to(rows) @ rows)

    def _weights(self, rows: Tensor, present: Present) -> Tensor:
        """Return the weights ``[n]`` of the tasks that are present."""
        kept = present.kept
        gramian = torch.zeros(present.tasks, present.tasks, dtype=rows.dtype, device=rows.device)
        gramian[kept[:, None], kept] = gramian_of(rows)
        active = torch.zeros(present.tasks, dtype=torch.bool, device=rows.device)
        active[kept] = True
        return self.tasks.weights(gramian, active=active)[kept]

    def _levelled(self, direction: Tensor) -> Tensor:
        parts = direction.split([*self.branches, len(direction) - sum(self.branches)])
        lengths = torch.stack([part.double().norm() for part in parts[:-1]]) if self.branches else direction.new_ones(0)
        moving = lengths > 0
        if not bool(moving.any()):
            return direction
        factors = torch.where(moving, lengths[moving].mean() / lengths, 0.0).tolist()
        return torch.cat([*(part * factor for part, factor in zip(parts, factors, strict=False)), parts[-1]])

    def extra_repr(self) -> str:
        return f"branches={self.branches}, last={self.last}"
