"""Stem, sharing and heads put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from accord.sharing.base import Sharing
from accord.sharing.hard_sharing import HardSharing
from accord.sharing.heads import ModuleHeads, TaskHeads


class MultiTaskModel(nn.Module):
    """``features -> stem [B, D] -> sharing [B, T, H] -> heads``: one output ``[B, width_t]`` per task.

    Nothing here draws random numbers: parts are built beforehand, from one ``torch.Generator`` where a run must be
    repeatable. Dropout, while training, uses PyTorch's global generator.

    Args:
        stem: any module from a batch of features to ``[B, D]``.
        sharing: a :class:`Sharing`, or any module ``[B, D] -> [B, H]``, which all tasks then share.
        heads: :class:`Heads`, or task name -> module in the order of the tasks.
        in_features: D; needed only when ``sharing`` is a plain module without ``out_features``.
    """

    def __init__(
        self,
        stem: nn.Module,
        sharing: nn.Module,
        heads: TaskHeads | Mapping[str, nn.Module],
        *,
        in_features: int | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads if isinstance(heads, TaskHeads) else ModuleHeads(heads)
        if not isinstance(sharing, Sharing):
            width = in_features or getattr(stem, "out_features", 0)
            sharing = HardSharing(width, self.heads.tasks, trunk=sharing)
        self.stem = stem
        self.sharing = sharing

    @property
    def tasks(self) -> int:
        """Number of tasks T."""
        return self.sharing.tasks

    def forward(self, features: Any) -> list[Tensor]:
        """Return the outputs ``[B, width_t]`` of all tasks, in order."""
        return self.heads(self.sharing(self.stem(features)))

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the trainable parameters that more than one objective reaches: the stem and the shared trunk."""
        return [p for p in (*self.stem.parameters(), *self.sharing.shared_parameters()) if p.requires_grad]

    def task_parameters(self, index: int) -> list[nn.Parameter]:
        """Return the trainable parameters that only the objective of task ``index`` reaches."""
        own = (*self.sharing.task_parameters(index), *self.heads.task_parameters(index))
        return [p for p in own if p.requires_grad]

    def last_shared_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the last shared layer (for GradNorm)."""
        return self.sharing.last_shared_parameters()
