"""Experts for everybody, and one gate for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.method import Method
from accord.sharing.base import Sharing
from accord.sharing.experts import ExpertOptions, Experts, run_experts
from accord.sharing.gates import gate_weights
from accord.sharing.layers import check_dropout, check_positive, uniform


class OMoE(Sharing):
    """All tasks read one mixture of shared experts: MMoE's one-gate baseline, ``h = sum_e softmax(W x)_e f_e(x)``.

    Source: Ma et al., KDD 2018.

    Args:
        in_features: D.
        tasks: T.
        experts: number of experts E.
        hidden: width of each expert layer, the last being H; a number means one layer.
        act: activation of the experts.
        dropout: in the experts.
        gate_dropout: probability of leaving an expert out of the gate.
        generator: source of the initial weights.
    """

    method: ClassVar[Method] = Method(
        title="OMoE",
        paper="Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
        year=2018,
        url="https://doi.org/10.1145/3219819.3220007",
        needs="nothing",
        cost="E experts + one gate of E outputs",
    )

    def __init__(
        self,
        in_features: int,
        tasks: int,
        *,
        experts: int = 8,
        hidden: int | Sequence[int] = 64,
        act: str = "relu",
        dropout: float = 0.0,
        gate_dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.tasks = check_positive(tasks, "tasks")
        check_positive(experts, "experts")
        self.options = ExpertOptions(hidden, act, dropout)
        self.gate_dropout = check_dropout(gate_dropout, "gate_dropout")
        self.experts = Experts(experts, in_features, self.options.hidden, generator)
        self.gate = uniform(experts, in_features, fan_in=in_features, generator=generator)
        self.out_features = self.options.hidden[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = run_experts(inputs, [self.experts], self.options, training=self.training)
        return torch.bmm(self.gate_weights(inputs), outputs).expand(-1, self.tasks, -1)

    def gate_weights(self, inputs: Tensor) -> Tensor:
        """Return ``[B, 1, E]``, how much the one gate listens to each expert."""
        return gate_weights(inputs, [self.gate], self.gate_dropout, training=self.training)

    def shared_parameters(self) -> list[nn.Parameter]:
        return [*self.experts.parameters(), self.gate]

    def task_parameters(self, index: int) -> list[nn.Parameter]:  # noqa: ARG002
        return []

    def last_shared_parameters(self) -> list[nn.Parameter]:
        return [self.experts.weights[-1]]
