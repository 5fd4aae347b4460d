"""Experts of one's own and shared ones, level by level."""

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


class Level(nn.Module):
    """One level (the paper's CGC): own and shared experts, and the gates that mix them.

    Each task has a gate over its own and the shared experts; below the last level the shared stream has one over all
    experts. Experts are ordered task by task, the shared ones last.
    """

    def __init__(
        self,
        in_features: int,
        tasks: int,
        own: int,
        shared: int,
        *,
        hidden: Sequence[int],
        last: bool,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()

        def gate(experts: int) -> nn.Parameter:
            return uniform(experts, in_features, fan_in=in_features, generator=generator)

        self.own = nn.ModuleList(Experts(own, in_features, hidden, generator) for _ in range(tasks))
        self.shared = Experts(shared, in_features, hidden, generator)
        self.gates = nn.ParameterList(gate(own + shared) for _ in range(tasks))
        self.shared_gate = None if last else gate(tasks * own + shared)

    def forward(self, inputs: Tensor, options: ExpertOptions, gate_dropout: float) -> Tensor:
        """Return ``[T, B, H]``, or ``[T + 1, B, H]`` with the shared stream last, below the last level.

        Args:
            inputs: ``[B, D]`` on the first level, then ``[T + 1, B, D]``.
            options: of the experts.
            gate_dropout: of the gates.
        """
        experts = self._experts(inputs, options)
        task_inputs = inputs if inputs.ndim == 2 else inputs[:-1]
        weights = gate_weights(task_inputs, list(self.gates), gate_dropout, training=self.training)
        mixing = _spread(weights, experts.shape[1])
        if self.shared_gate is not None:
            shared_input = inputs if inputs.ndim == 2 else inputs[-1]
            of_all = gate_weights(shared_input, [self.shared_gate], gate_dropout, training=self.training)
            mixing = torch.cat([mixing, of_all], 1)
        return torch.bmm(mixing, experts).transpose(0, 1)

    def _experts(self, inputs: Tensor, options: ExpertOptions) -> Tensor:
        groups = [group for group in self.own if isinstance(group, Experts)]
        if inputs.ndim == 2:
            return run_experts(inputs, [*groups, self.shared], options, training=self.training)
        own = run_experts(inputs[:-1], groups, options, training=self.training)
        return torch.cat([own, run_experts(inputs[-1], [self.shared], options, training=self.training)], 1)


def _spread(weights: Tensor, experts: int) -> Tensor:
    # [B, T, own + shared] to [B, T, experts], 0 for the experts of other tasks. One dense product with those zeros is
    # several times faster than T small ones, and adds (T + 1) / D of the first layer's arithmetic.
    rows, tasks, seen = weights.shape
    own = (experts - seen) // (tasks - 1) if tasks > 1 else 0
    if not own:
        return weights
    blocks = weights[:, :, :own].unsqueeze(2) * torch.eye(tasks, device=weights.device, dtype=weights.dtype)[..., None]
    return torch.cat([blocks.reshape(rows, tasks, tasks * own), weights[:, :, own:]], 2)


class PLE(Sharing):
    """Each task mixes experts of its own with shared ones, on several levels (Tang et al., 2020).

    On each level a task's gate looks at the task's own input and mixes its own and the shared experts; the shared
    gate looks at the shared input and mixes all experts. On the next level own experts read their task's mixture and
    shared experts the shared one, all taken from the level below (nothing is updated in place). The last level has
    no shared gate. One level is the paper's CGC.

    Which parameters are shared follows from that: because the shared gate mixes every expert, an "own" expert below
    the last level reaches all tasks, and so does an own gate two or more levels below the last. Only the last level's
    own experts and gates, and the own gates of the level before, belong to one task.

    Args:
        in_features: D.
        tasks: T.
        levels: number of levels.
        own: experts of each task on each level.
        shared: shared experts on each level.
        hidden: width of each expert layer, the last being H; a number means one layer.
        act: activation of the experts.
        dropout: in the experts.
        gate_dropout: probability of leaving an expert out of a gate.
        generator: source of the initial weights.
    """

    method: ClassVar[Method] = Method(
        title="PLE",
        paper="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized "
        "Recommendations",
        year=2020,
        url="https://doi.org/10.1145/3383313.3412236",
        needs="nothing",
        cost="T own + shared experts on each level",
    )

    def __init__(
        self,
        in_features: int,
        tasks: int,
        *,
        levels: int = 2,
        own: int = 2,
        shared: int = 2,
        hidden: int | Sequence[int] = 64,
        act: str = "relu",
        dropout: float = 0.0,
        gate_dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.tasks = check_positive(tasks, "tasks")
        for value, name in ((levels, "levels"), (own, "own"), (shared, "shared")):
            check_positive(value, name)
        self.options = ExpertOptions(hidden, act, dropout)
        self.gate_dropout = check_dropout(gate_dropout, "gate_dropout")
        self.out_features = self.options.hidden[-1]
        self._levels = [
            Level(
                in_features if level == 0 else self.out_features,
                tasks,
                own,
                shared,
                hidden=self.options.hidden,
                last=level == levels - 1,
                generator=generator,
            )
            for level in range(levels)
        ]
        self.levels = nn.ModuleList(self._levels)

    def forward(self, inputs: Tensor) -> Tensor:
        for level in self._levels:
            inputs = level(inputs, self.options, self.gate_dropout)
        return inputs.transpose(0, 1)

    def shared_parameters(self) -> list[nn.Parameter]:
        tasks = (parameter for index in range(self.tasks) for parameter in self.task_parameters(index))
        own = {id(parameter) for parameter in tasks}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]

    def task_parameters(self, index: int) -> list[nn.Parameter]:
        gates = [level.gates[index] for level in self._levels[-2:]]
        return [*gates, *self._levels[-1].own[index].parameters()]

    def last_shared_parameters(self) -> list[nn.Parameter]:
        return [self._levels[-1].shared.weights[-1]]
