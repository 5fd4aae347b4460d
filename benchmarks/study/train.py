"""One run: a model, a balancer, so many steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from benchmarks.study.methods import BALANCER_RATE
from benchmarks.study.networks import Network
from benchmarks.study.problem import Problem
from torch import Tensor

import accord
from accord.balancer import Balancer
from accord.training.loop import CountsEpochs
from accord.training.optimizer import AdamW, Group
from accord.weighting import LooksAhead

# Methods that go by means over epochs get this many per run: as passes over the data, two or three, they would not act.
EPOCHS = 15
# Validation rows whose losses such methods are told.
HELD_OUT = 1024


@dataclass(frozen=True)
class Trained:
    """A trained network and what a step of it cost: processor and wall-clock milliseconds."""

    network: Network
    cpu_ms: float
    wall_ms: float


def train(
    problem: Problem,
    tasks: Sequence[int],
    balancer: Balancer,
    *,
    rate: float,
    seed: int,
    last_layer: bool = False,
    parts: int = 1,
) -> Trained:
    """Train on ``tasks`` with Adam, from ``rate`` along half a cosine to 0.

    ``seed`` alone decides the initial weights and the batches, so two methods with one seed differ in nothing else.

    Args:
        problem: data and model.
        tasks: positions of the tasks to train.
        balancer: what balances them.
        rate: the learning rate to begin with.
        seed: of everything random but the balancer.
        last_layer: show the balancer gradients at the last shared layer only.
        parts: how many parts of each batch have losses of their own, for methods that want independent samples.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = problem.build(len(tasks))
    shared = network.shared_parameters()
    at = network.last_shared_parameters() if last_layer else None
    learnt = [parameter for parameter in balancer.parameters() if parameter.requires_grad]
    optimiser = AdamW([Group(list(network.parameters()), rate, 0.0), Group(learnt, BALANCER_RATE * rate, 0.0)])
    steps = problem.sizes.steps
    length = max(1, steps // EPOCHS)
    heard: list[Tensor] = []
    cpu, wall = time.process_time(), time.perf_counter()
    for step, rows in enumerate(batches(problem, seed)):
        factor = 0.5 * (1.0 + math.cos(math.pi * step / steps))
        if isinstance(balancer, LooksAhead):
            ahead = {
                "train": _closure(problem, network, rows[::2]),
                "validation": _closure(problem, network, rows[1::2]),
            }
            balancer.update(network.parameters(), **ahead, step=factor * rate)
        outputs = network(problem.train.inputs[rows])
        losses = problem.losses(outputs, problem.train.targets[rows][:, list(tasks)])
        given = losses if parts == 1 else _by_part(problem, outputs, problem.train.targets[rows], parts)
        accord.backward(given, shared, balancer, at=at, engine=problem.engine)
        optimiser.step(factor)
        optimiser.zero_grad()
        heard.append(losses.detach())
        if isinstance(balancer, CountsEpochs) and len(heard) == length:
            means = torch.stack(heard).double().mean(0)
            balancer.end_epoch(train=means, validation=held_out(problem, network))
            heard.clear()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Trained(network, 1000.0 * cpu / steps, 1000.0 * wall / steps)


def _closure(problem: Problem, network: Network, rows: Tensor) -> Callable[[], Tensor]:
    return lambda: problem.losses(network(problem.train.inputs[rows]), problem.train.targets[rows])


def _by_part(problem: Problem, outputs: Sequence[Tensor], targets: Tensor, parts: int) -> Tensor:
    """Return the losses of each part of a batch, one part after the other: ``[parts * T]``."""
    pieces = zip(*(output.chunk(parts) for output in outputs), strict=True)
    return torch.cat([problem.losses(piece, part) for piece, part in zip(pieces, targets.chunk(parts), strict=True)])


@torch.no_grad()
def held_out(problem: Problem, network: Network) -> Tensor:
    """Return the tasks' losses ``[T]`` on some of the validation rows, in float64."""
    part = problem.validation
    return problem.losses(network(part.inputs[:HELD_OUT]), part.targets[:HELD_OUT]).double()


def batches(problem: Problem, seed: int) -> Sequence[Tensor]:
    """Return the rows of every step: shuffled passes over the training rows."""
    generator = torch.Generator().manual_seed(seed)
    needed = problem.sizes.steps * problem.sizes.batch
    passes = -(-needed // len(problem.train))
    order = torch.cat([torch.randperm(len(problem.train), generator=generator) for _ in range(passes)])
    return order[:needed].split(problem.sizes.batch)
