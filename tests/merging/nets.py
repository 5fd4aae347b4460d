"""A small network fine-tuned on several tasks, for claims that random weights cannot bear out."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

TASKS, CLASSES, INPUTS = 4, 4, 16


def blobs(seed, rows):
    """Points around the centres of a task's classes, and their labels."""
    generator = torch.Generator().manual_seed(seed % 1000)
    centres = 1.3 * torch.randn(CLASSES, INPUTS, generator=generator)
    generator.manual_seed(seed)
    labels = torch.randint(0, CLASSES, (rows,), generator=generator)
    return centres[labels] + torch.randn(rows, INPUTS, generator=generator), labels


def network():
    return nn.Sequential(nn.Linear(INPUTS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())


def train(body, heads, tasks, steps, rate):
    optimiser = torch.optim.Adam(body.parameters(), lr=rate)
    for step in range(steps):
        optimiser.zero_grad()
        for task in tasks:
            inputs, labels = blobs(task + 1000 * (step + 1), 64)
            nn.functional.cross_entropy(heads[task](body(inputs)), labels).backward()
        optimiser.step()


def accuracy(state, heads, task, draw=10**6):
    body = network()
    body.load_state_dict(state)
    inputs, labels = blobs(task + 1000 * draw + 1000 * 10**6, 2000)
    with torch.no_grad():
        return (heads[task](body(inputs)).argmax(1) == labels).double().mean().item()


@cache
def fine_tuned():
    """A base trained on one more task, one model per task with a head that stays as it is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body, heads = network(), [nn.Linear(64, CLASSES) for _ in range(TASKS + 1)]
        train(body, heads, [TASKS], 60, 1e-2)
        base = {name: tensor.clone() for name, tensor in body.state_dict().items()}
        models = []
        for task in range(TASKS):
            body.load_state_dict(base)
            train(body, heads, [task], 80, 3e-3)
            models.append({name: tensor.clone() for name, tensor in body.state_dict().items()})
    return base, models, heads


def filled(net, seed):
    """Return a network in float64 with drawn weights, statistics of norms among them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            if name.endswith("running_var"):
                tensor.abs_().add_(0.1)
    return net.double()
