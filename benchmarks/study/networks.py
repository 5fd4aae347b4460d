"""What the study trains, and the simplest such network: one trunk, one linear output layer."""

from __future__ import annotations

from torch import Tensor, nn

from accord.sharing import MultiTaskModel


class HardShared(nn.Module):
    """A trunk ``[B, ...] -> [B, hidden]`` and one matrix for the outputs of all tasks, a block of it for each.

    Twelve heads of their own would be the same model, and cost more time than everything else on layers this small.
    """

    def __init__(self, trunk: nn.Module, hidden: int, tasks: int, width: int) -> None:
        super().__init__()
        self.trunk, self.width = trunk, width
        self.head = nn.Linear(hidden, tasks * width)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return self.head(self.trunk(inputs)).split(self.width, 1)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())

    def last_shared_parameters(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.trunk.parameters() if parameter.ndim > 1][-1:]


Network = HardShared | MultiTaskModel
