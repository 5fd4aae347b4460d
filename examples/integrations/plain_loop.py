"""Two tasks of very different size in a plain PyTorch loop; two lines of Accord.

python examples/integrations/plain_loop.py
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import accord


class Model(nn.Module):
    """A trunk with one head per task; returns the losses by task."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 32), nn.GELU())
        self.heads = nn.ModuleDict({"small": nn.Linear(32, 1), "large": nn.Linear(32, 1)})

    def forward(self, features: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mean squared error of each task."""
        shared = self.trunk(features)
        found = torch.cat([head(shared) for head in self.heads.values()], dim=1)
        return dict(zip(self.heads, (found - targets).square().mean(dim=0), strict=True))


def data() -> TensorDataset:
    """Return features [N, 6] and targets [N, 2], of which the second is ten times as large."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(256, 6, generator=generator)
    targets = torch.stack([features[:, 0] * features[:, 1], 10 * (features[:, 1] - features[:, 2])], dim=1)
    return TensorDataset(features, targets)


@torch.no_grad()
def errors(model: nn.Module) -> dict[str, float]:
    """Return the loss of each task over all data."""
    return {name: round(float(loss), 3) for name, loss in model(*data().tensors).items()}


def main() -> None:
    """Train for some epochs and print the losses before and after."""
    torch.manual_seed(0)
    model = Model()
    balancer = accord.aggregation.UPGrad()  # the first line
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    print(errors(model))
    for _ in range(10):
        for features, targets in DataLoader(data(), batch_size=32, shuffle=True):
            optimiser.zero_grad()
            losses = model(features, targets)
            # The second line, in place of sum(losses.values()).backward():
            accord.backward(losses, shared=list(model.trunk.parameters()), balancer=balancer)
            optimiser.step()
    print(errors(model))


if __name__ == "__main__":
    main()
