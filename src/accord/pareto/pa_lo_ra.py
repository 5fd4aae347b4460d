"""One network for what tasks share, and a low-rank change of it per task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.preferences import grid_size, simplex_grid
from accord.pareto.weight_space import WeightSpaceModel

# The least of a preference that is trained on, and how far it is sharpened in the end.
LEAST, SHARPEST = 0.01, 5.0


class PaLoRA(WeightSpaceModel):
    """Pareto low-rank adapters: the solution for ``w`` has the weights ``theta + (scale / rank) sum_t w_t B_t A_t``.

    Every weight matrix, kernels as ``[out, in * height * width]``, has one pair of factors per task; other parameters
    are shared. A step has ``window`` evenly spaced preferences, all raised to the power ``5 progress`` and brought back
    to sum 1: at first all are equal, and the network learns what tasks share, then they spread, in the end to the
    corners. The weighted sum of the losses is minimised.

    Cost: ``window`` forwards, and ``T rank (in + out)`` parameters more per matrix.

    Args:
        net: the network; may be trained already. It is trained on.
        tasks: T.
        rank: 1 or more.
        scale: above 0.
        window: how many preferences a step has, 2 or more. With three tasks or more, that many are drawn from the
            coarsest grid that has as many.

    Raises:
        ConfigurationError: an option is out of range, or the network has no matrix.

    Source: Dimitriadis, Frossard and Fleuret, Pareto Low-Rank Adapters: Efficient Multi-Task Learning with Preferences,
    2025 (rank 1, scale 1; ``B`` starts at 0 and ``A`` as a linear layer does). The authors' code factorises kernels
    as ``[out * height, in * width]``; it draws sharpening Dirichlet preferences with three tasks, where the paper has a
    grid. The window of 3 is ours. Adapters learn T times as fast there: pass :meth:`groups` to the optimiser.
    """

    method: ClassVar[Method] = Method(
        title="PaLoRA",
        paper="Pareto Low-Rank Adapters: Efficient Multi-Task Learning with Preferences",
        year=2025,
        url="https://arxiv.org/abs/2407.08056",
        needs="losses",
        cost="one forward and backward per preference of the window",
    )

    def __init__(self, net: nn.Module, tasks: int, rank: int = 1, scale: float = 1.0, window: int = 3) -> None:
        super().__init__(tasks, net)
        matrices = {name: parameter for name, parameter in net.named_parameters() if parameter.ndim >= 2}
        if not matrices:
            raise ConfigurationError("PaLoRA adapts weight matrices, and the network has none")
        if rank < 1 or window < 2 or not 0.0 < scale < float("inf"):
            raise ConfigurationError(
                f"rank must be 1 or more, window 2 or more and scale above 0; got {rank}, {window} and {scale}"
            )
        self.net, self.adapted = net, list(matrices)
        self.rank, self.scale, self.window = rank, scale, window
        flat = [matrix.detach().flatten(start_dim=1) for matrix in matrices.values()]
        self.down = nn.ParameterList(_uniform(m.new_empty(tasks, rank, m.shape[1])) for m in flat)
        self.up = nn.ParameterList(m.new_zeros(tasks, m.shape[0], rank) for m in flat)

    @property
    def skeleton(self) -> nn.Module:
        return self.net

    def weights(self, preference: Tensor) -> Mapping[str, Tensor]:
        named: dict[str, Tensor] = dict(self.net.named_parameters())
        changes = [
            torch.einsum("t,tor,tri->oi", preference, up, down) for up, down in zip(self.up, self.down, strict=True)
        ]
        for name, change in zip(self.adapted, changes, strict=True):
            named[name] = named[name] + (self.scale / self.rank) * change.view(named[name].shape)
        return named

    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:
        divisions = 1
        while grid_size(self.tasks, divisions) < self.window:
            divisions += 1
        grid = simplex_grid(self.tasks, divisions).float()
        if len(grid) > self.window:
            grid = grid[torch.randperm(len(grid), generator=generator)[: self.window]]
        sharpened = (LEAST + (1 - self.tasks * LEAST) * grid) ** (SHARPEST * progress)
        return sharpened / sharpened.sum(dim=1, keepdim=True)

    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        return (preferences.to(losses) * losses).sum(dim=-1).mean()

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return groups for an optimiser: the network at ``learning_rate``, adapters at T times that."""
        adapters = [*self.down, *self.up]
        return [
            {"params": list(self.net.parameters()), "lr": learning_rate},
            {"params": adapters, "lr": self.tasks * learning_rate},
        ]


def _uniform(values: Tensor) -> nn.Parameter:
    bound = values.shape[-1] ** -0.5
    return nn.Parameter(nn.init.uniform_(values, -bound, bound))
