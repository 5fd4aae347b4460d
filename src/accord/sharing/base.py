"""What every way of sharing is: one representation in, one per task out, and a true account of who owns what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from accord.method import Method


class Sharing(nn.Module, ABC):
    """Maps ``[B, D]`` to ``[B, T, H]``: a representation for each of T tasks.

    Every parameter is in exactly one of :meth:`shared_parameters` and :meth:`task_parameters`. With one task nothing
    is reached by a second objective; the split stays the same, so that a single-task model is the same code: its
    "shared" parameters are those that another task would share.

    Attributes:
        tasks: T.
        out_features: H.
    """

    method: ClassVar[Method]
    tasks: int
    out_features: int

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``[B, T, H]`` for ``[B, D]``; B may be 0."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that more than one objective reaches."""

    @abstractmethod
    def task_parameters(self, index: int) -> list[nn.Parameter]:
        """Return the parameters that only the objective of task ``index`` reaches."""

    @abstractmethod
    def last_shared_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the last shared layer, where GradNorm measures gradients (Chen et al., 2018)."""
