"""From a task's representation to its outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.sharing.layers import activation, check_dropout, check_positive, linear


class TaskHeads(nn.Module, ABC):
    """Maps ``[B, T, H]`` to T outputs ``[B, width_t]``; every parameter belongs to one task.

    Attributes:
        tasks: T.
    """

    tasks: int

    @abstractmethod
    def forward(self, hidden: Tensor) -> list[Tensor]:
        """Return one output ``[B, width]`` per task."""

    @abstractmethod
    def task_parameters(self, index: int) -> list[nn.Parameter]:
        """Return the parameters of the head of task ``index``."""


class Heads(TaskHeads):
    """Towers of equal shape, computed together, each ending in as many outputs as its task needs.

    Each tower owns its tensors, so that a task's parameters can be frozen, clipped or counted by themselves; they are
    stacked (a small copy) for one batched product per layer. Last layers are batched among tasks of equal width.

    Args:
        in_features: H.
        widths: outputs of each task.
        tower: widths of the hidden layers; empty for linear heads.
        act: activation after each hidden layer.
        dropout: after each activation, while training.
        biases: per task, what the last layer's bias starts from (see ``TargetEncoder.bias``); random when ``None``.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        in_features: int,
        widths: Sequence[int],
        *,
        tower: Sequence[int] = (8,),
        act: str = "relu",
        dropout: float = 0.0,
        biases: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = [check_positive(size, "tower") for size in (in_features, *tower)]
        self.act, self.dropout = activation(act), check_dropout(dropout)
        self.widths = tuple(check_positive(width, "widths") for width in widths)
        self.tasks = len(self.widths)
        self.towers = nn.ModuleList(
            nn.ModuleList(linear(i, o, generator) for i, o in zip(sizes, [*sizes[1:], width], strict=True))
            for width in self.widths
        )
        for towers, bias in zip(self.towers, biases or (), strict=biases is not None):
            with torch.no_grad():
                towers[-1].bias.copy_(bias)  # pyright: ignore[reportIndexIssue]

    def forward(self, hidden: Tensor) -> list[Tensor]:
        hidden = hidden.transpose(0, 1)
        for layer in range(len(self.towers[0]) - 1):  # pyright: ignore[reportArgumentType]
            hidden = functional.dropout(self.act(self._layer(hidden, layer)), self.dropout, self.training)
        outputs: dict[int, Tensor] = {}
        for width in dict.fromkeys(self.widths):
            group = [index for index, own in enumerate(self.widths) if own == width]
            part = hidden if len(group) == len(self.widths) else hidden[group]
            outputs.update(zip(group, self._layer(part, -1, group), strict=True))
        return [outputs[index] for index in range(len(self.widths))]

    def task_parameters(self, index: int) -> list[nn.Parameter]:
        return list(self.towers[index].parameters())

    def _layer(self, hidden: Tensor, layer: int, group: Sequence[int] | None = None) -> Tensor:
        towers = range(len(self.widths)) if group is None else group
        layers = [self.towers[index][layer] for index in towers]  # pyright: ignore[reportIndexIssue]
        weight = torch.stack([part.weight for part in layers])
        bias = torch.stack([part.bias for part in layers])
        return torch.baddbmm(bias.unsqueeze(1), hidden, weight.transpose(1, 2))


class ModuleHeads(TaskHeads):
    """Any modules as heads, one per task in order: each maps ``[B, H]`` to ``[B, width]`` (or ``[B]``).

    Args:
        modules: task name -> module, in the order of the tasks.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not modules:
            raise ConfigurationError("there are no heads: give one module per task.")
        self.heads = nn.ModuleList(modules.values())
        self.tasks = len(self.heads)

    def forward(self, hidden: Tensor) -> list[Tensor]:
        outputs = [head(hidden[:, index]) for index, head in enumerate(self.heads)]
        return [output.unsqueeze(1) if output.ndim == 1 else output for output in outputs]

    def task_parameters(self, index: int) -> list[nn.Parameter]:
        return list(self.heads[index].parameters())
