"""A strong plain trunk for tables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.sharing.layers import activation, check_dropout, check_positive, linear


class Block(nn.Module):
    """One pre-norm residual block: ``x + W2 dropout(f(W1 norm(x)))``."""

    def __init__(self, width: int, act: str, dropout: float, generator: torch.Generator | None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = linear(width, width, generator)
        self.back = linear(width, width, generator)
        self.act, self.dropout = activation(act), dropout

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.dropout(self.act(self.wide(self.norm(inputs))), self.dropout, self.training)
        return inputs + functional.dropout(self.back(hidden), self.dropout, self.training)


class MLP(nn.Module):
    """Projection, pre-norm residual blocks, final norm: ``[B, D]`` to ``[B, width]``.

    The residual form of Gorishniy et al. (2021) with layer instead of batch normalisation: it behaves the same for
    one row as for a thousand, and a row's gradient does not depend on its neighbours.

    Args:
        in_features: D.
        width: width of every layer.
        depth: number of residual blocks; 0 leaves projection, norm and activation.
        dropout: in and after each block, while training.
        act: activation.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        in_features: int,
        *,
        width: int = 192,
        depth: int = 2,
        dropout: float = 0.1,
        act: str = "silu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_positive(width, "width")
        check_dropout(dropout)
        self.project = linear(in_features, width, generator)
        self.blocks = nn.ModuleList(Block(width, act, dropout, generator) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.act = activation(act)
        self.out_features = width

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.project(inputs)
        for block in self.blocks:
            hidden = block(hidden)
        return self.act(self.norm(hidden))

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the weight of the last linear layer."""
        last = self.blocks[-1] if len(self.blocks) else None
        layer = last.back if isinstance(last, Block) else self.project
        return [parameter for parameter in layer.parameters() if parameter.ndim > 1]
