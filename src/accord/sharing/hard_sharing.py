"""One trunk for everybody."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sharing.base import Sharing
from accord.sharing.layers import check_positive
from accord.sharing.mlp import MLP


class HardSharing(Sharing):
    """Every task reads the same representation (Caruana, 1997): ``[B, D] -> [B, H]``, seen T times without a copy.

    Args:
        in_features: D.
        tasks: T.
        width: of the default trunk, an :class:`~accord.sharing.mlp.MLP`.
        depth: its number of residual blocks.
        dropout: in its blocks.
        act: its activation.
        trunk: any module ``[B, D] -> [B, H]`` to use instead; the four options above are then unused. Its H is its
            attribute ``out_features``, or is found by passing it two rows of zeros.
        generator: source of the initial weights.
    """

    method: ClassVar[Method] = Method(
        title="Hard sharing",
        paper="Multitask Learning",
        year=1997,
        url="https://doi.org/10.1023/A:1007379606734",
        needs="nothing",
        cost="one trunk, whatever T",
    )

    def __init__(
        self,
        in_features: int,
        tasks: int,
        *,
        width: int = 192,
        depth: int = 2,
        dropout: float = 0.1,
        act: str = "silu",
        trunk: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.tasks = check_positive(tasks, "tasks")
        self.trunk = trunk or MLP(in_features, width=width, depth=depth, dropout=dropout, act=act, generator=generator)
        self.out_features = _out_features(self.trunk, in_features)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.trunk(inputs)
        return hidden.unsqueeze(1).expand(-1, self.tasks, -1)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())

    def task_parameters(self, index: int) -> list[nn.Parameter]:  # noqa: ARG002
        return []

    def last_shared_parameters(self) -> list[nn.Parameter]:
        if isinstance(self.trunk, MLP):
            return self.trunk.last_parameters()
        matrices = [parameter for parameter in self.trunk.parameters() if parameter.ndim > 1]
        return matrices[-1:] or list(self.trunk.parameters())[-1:]


def _out_features(trunk: nn.Module, in_features: int) -> int:
    known = getattr(trunk, "out_features", None)
    if isinstance(known, int):
        return known
    training = trunk.training
    trunk.eval()
    with torch.no_grad():
        probe = trunk(torch.zeros(2, in_features))
    trunk.train(training)
    if not isinstance(probe, Tensor) or probe.ndim != 2 or probe.shape[0] != 2:
        raise ConfigurationError(
            f"the trunk {type(trunk).__name__} must map [B, {in_features}] to [B, H]; two rows gave "
            f"{tuple(probe.shape) if isinstance(probe, Tensor) else type(probe).__name__}."
        )
    return probe.shape[1]
