"""Three losses of very different size in a plain PyTorch loop, balanced by two lines.

python examples/balance_your_loop.py
"""

from __future__ import annotations

import torch
from torch import nn

import accord
from accord.balancer import Balancer

STEPS = 100


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Return features [N, 6] and three targets [N, 3] whose scales differ a hundredfold."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(512, 6, generator=generator)
    clean = torch.stack([features[:, 0] - features[:, 1], features[:, 1] * features[:, 2], features[:, 3] ** 2], dim=1)
    return features, clean * torch.tensor([0.1, 1.0, 10.0])


def train(balancer: Balancer) -> list[float]:
    """Train once and return each task's error relative to its variance: 0 is perfect, 1 is knowing nothing."""
    features, targets = problem()
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(6, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU())
    heads = nn.ModuleList(nn.Linear(64, 1) for _ in range(3))
    optimiser = torch.optim.Adam([*trunk.parameters(), *heads.parameters(), *balancer.parameters()], lr=3e-3)
    for _ in range(STEPS):
        shared = trunk(features)
        predictions = torch.cat([head(shared) for head in heads], dim=1)
        losses = (predictions - targets).square().mean(dim=0)
        optimiser.zero_grad()
        # Instead of losses.sum().backward():
        accord.backward(losses, shared=list(trunk.parameters()), balancer=balancer)
        optimiser.step()
    return (losses / targets.var(dim=0)).tolist()


def main() -> None:
    """Compare plain averaging with a weighting and an aggregator."""
    balancers = {
        "plain average": accord.aggregation.Mean(),
        "Uncertainty": accord.weighting.Uncertainty(tasks=3),
        "UPGrad": accord.aggregation.UPGrad(),
    }
    print(f"{'unexplained variance':20}  small  medium  large")
    for name, balancer in balancers.items():
        small, medium, large = train(balancer)
        print(f"{name:20}  {small:5.1%}  {medium:6.1%}  {large:5.1%}")


if __name__ == "__main__":
    main()
