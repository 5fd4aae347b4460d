"""Two tasks with missing labels, trained by several processes as one would with the whole batch.

    python examples/distributed.py
    torchrun --standalone --nproc-per-node 2 examples/distributed.py

print the same numbers.
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import accord

BATCH, STEPS = 64, 30


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 32), nn.Tanh())
        self.heads = nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.heads(self.trunk(x))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and two labels each; a third of the first and two thirds of the second are missing (NaN)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * STEPS, 8, generator=generator)
    y = torch.stack([x[:, 0] - x[:, 1], 10 * (x[:, 1] - 0.5 * x[:, 0])], dim=1)
    missing = torch.rand(y.shape, generator=generator) < torch.tensor([1 / 3, 2 / 3])
    return x, y.masked_fill(missing, torch.nan)


def main() -> None:
    if "RANK" in os.environ:  # under torchrun
        dist.init_process_group("gloo")
    group = dist.group.WORLD  # None in a process on its own
    rank, size = (0, 1) if group is None else (dist.get_rank(), dist.get_world_size())

    torch.manual_seed(0)
    network = Network()
    model = network if group is None else DistributedDataParallel(network)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    balancer = accord.aggregation.UPGrad()

    x, y = data()
    for step in range(STEPS):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH)[rank::size]  # this process's part of the batch
        outputs, labels = model(x[rows]), y[rows]
        seen = labels.isfinite()
        errors = torch.where(seen, outputs - labels, 0).square()
        optimiser.zero_grad()
        done = accord.backward(
            [errors[:, task].sum() / seen[:, task].sum() for task in range(2)],
            network.trunk.parameters(),
            balancer,
            task_parameters=network.heads.parameters(),
            group=group,
            counts=None if group is None else seen.sum(0),
        )
        optimiser.step()
    if rank == 0:
        norm = torch.cat([p.detach().flatten() for p in network.parameters()]).norm()
        print("losses", [round(loss, 3) for loss in done.losses.tolist()], f"parameters {norm:.4f}")
    if group is not None:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
