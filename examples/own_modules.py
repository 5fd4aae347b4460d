"""Your own network as trunk and heads; Accord does tables, tasks, balancing, verdict and report around it.

python examples/own_modules.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import accord


class Residual(nn.Module):
    """A trunk of residual blocks that learns its input width from the first batch: [B, D] -> [B, width]."""

    def __init__(self, width: int = 48, blocks: int = 2) -> None:
        super().__init__()
        self.entry = nn.LazyLinear(width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU()) for _ in range(blocks)
        )

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.entry(features)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return hidden


def table(rows: int = 3000) -> dict[str, np.ndarray]:
    """Return two targets of one signal."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 5))
    signal = x[:, 0] * x[:, 1] + x[:, 2]
    columns = {f"x{i}": x[:, i] for i in range(5)}
    return columns | {"amount": signal + 0.1 * draw.normal(size=rows), "large": (signal > 1).astype(np.int64)}


def main() -> None:
    """Fit with the own trunk and say what sharing did."""
    torch.manual_seed(0)
    tasks = [accord.Task("amount", "regression"), accord.Task("large", "binary")]
    model = accord.fit(table(), tasks, trunk=Residual(), balancing="upgrad", epochs=3, batch_size=256)
    print(model)


if __name__ == "__main__":
    main()
