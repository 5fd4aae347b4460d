"""Experts for everybody, and a gate for each task."""

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


class MMoE(Sharing):
    """Each task reads its own mixture of shared experts: ``h_t = sum_e softmax(W_t x)_e f_e(x)``.

    Gates are linear without a bias, as in the paper's equations; the public ports add one, which shifts every row
    alike. Experts are all shared, each gate belongs to its task.

    Source: Ma et al., KDD 2018.

    Args:
        in_features: D.
        tasks: T.
        experts: number of experts E.
        hidden: width of each expert layer, the last being H; a number means one layer.
        act: activation of the experts.
        dropout: in the experts.
        gate_dropout: probability of leaving an expert out of a gate, see :func:`~accord.sharing.gates.gate_weights`.
        generator: source of the initial weights.
    """

    method: ClassVar[Method] = Method(
        title="MMoE",
        paper="Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
        year=2018,
        url="https://doi.org/10.1145/3219819.3220007",
        needs="nothing",
        cost="E experts + T gates of E outputs",
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
        self.gates = nn.ParameterList(
            uniform(experts, in_features, fan_in=in_features, generator=generator) for _ in range(tasks)
        )
        self.out_features = self.options.hidden[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = run_experts(inputs, [self.experts], self.options, training=self.training)
        return torch.bmm(self.gate_weights(inputs), outputs)

    def gate_weights(self, inputs: Tensor) -> Tensor:
        """Return ``[B, T, E]``, how much each task listens to each expert; its mean over rows is the experts' usage."""
        return gate_weights(inputs, list(self.gates), self.gate_dropout, training=self.training)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.experts.parameters())

    def task_parameters(self, index: int) -> list[nn.Parameter]:
        return [self.gates[index]]

    def last_shared_parameters(self) -> list[nn.Parameter]:
        return [self.experts.weights[-1]]
