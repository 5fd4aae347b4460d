"""Gradient surgery: each gradient gives way to the ones it conflicts with."""

from __future__ import annotations

from itertools import permutations
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.errors import ConfigurationError, suggest
from accord.linalg import normalise
from accord.linalg.draws import Draws
from accord.method import Method

Orders = Literal["random", "all"]
# T (T - 1)! sequences of projections: 40,320 for eight tasks, a tenth of a second.
MOST = 8


class PCGrad(StatelessGramianAggregator):
    """Project each gradient in turn off every other one that it conflicts with, in random order; average the results.

    For each task ``i``: ``v = g_i``; for every other ``j`` in random order, if ``<v, g_j> < 0`` then
    ``v = v - <v, g_j> / |g_j|^2 g_j``. For two tasks no conflict is left; for more, a later projection may bring an
    earlier conflict back.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``. Every inner product above is one of the
    Gramian, so the projections cost O(T^3) and never touch a vector of length P.

    Args:
        seed: of the orders. Their generator's place is part of ``state_dict``.
        orders: ``"random"``, one order per gradient and step, as in the paper; ``"all"``, the expectation over these
            draws, which is no noisier than the gradients are and costs O(T!), so at most 8 tasks.

    Source: Yu et al., Gradient Surgery for Multi-Task Learning, 2020. The paper adds the projected gradients up; here
    they are averaged, so that tasks in agreement keep the common scale (T times the learning rate gives the paper's
    step). A zero gradient conflicts with nobody.
    """

    method: ClassVar[Method] = Method(
        title="PCGrad",
        paper="Gradient Surgery for Multi-Task Learning",
        year=2020,
        url="https://arxiv.org/abs/2001.06782",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
        catalogue=(21,),
    )

    def __init__(self, seed: int = 0, orders: Orders = "random") -> None:
        super().__init__()
        if orders not in get_args(Orders):
            raise ConfigurationError(f"PCGrad has no orders {orders!r}. {suggest(str(orders), get_args(Orders))}")
        self.draws = Draws(seed)
        self.orders = orders

    def solve(self, gramian: Tensor) -> Tensor:
        tasks = len(gramian)
        if self.orders == "all":
            return torch.from_numpy(surgery(gramian.numpy(), *_every_order(tasks)))
        orders = self.draws.generator().permuted(np.tile(np.arange(tasks), (tasks, 1)), axis=1)
        return torch.from_numpy(surgery(gramian.numpy(), orders, np.arange(tasks)))

    def extra_repr(self) -> str:
        return f"orders={self.orders!r}"


def _every_order(tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all orders ``[T (T - 1)!, T - 1]`` in which a gradient can meet the others, and whose they are."""
    if tasks > MOST:
        raise ConfigurationError(
            f'PCGrad with orders="all" takes every order of {tasks} tasks, which is feasible for {MOST}; '
            'use orders="random"'
        )
    # Every task meets the others, counted on from its own place, in the same orders.
    shifts = np.array(list(permutations(range(1, tasks))), dtype=np.int64)
    whose = np.repeat(np.arange(tasks), len(shifts))
    return (np.tile(shifts, (tasks, 1)) + whose[:, None]) % tasks, whose


def surgery(gramian: np.ndarray, orders: np.ndarray, whose: np.ndarray) -> np.ndarray:
    """Return the weights ``[T]`` of the mean projected gradient.

    Args:
        gramian: ``[T, T]``.
        orders: ``[n, m]``; in the order of row ``r`` gradient ``whose[r]`` is projected off others (its own place is
            passed over).
        whose: ``[n]`` tasks, each as often as any other.
    """
    cosines, norms = normalise(gramian)
    rows = np.arange(len(orders))
    mixed = np.diag(norms)[whose]  # a gradient as a combination of unit gradients
    products = mixed @ cosines  # its inner product with each of them
    for others in orders.T:
        overlap = np.minimum(products[rows, others], 0.0)
        overlap[others == whose] = 0.0
        mixed[rows, others] -= overlap
        products -= overlap[:, None] * cosines[others]
    return np.divide(mixed.mean(axis=0), norms, out=np.full_like(norms, 1.0 / len(norms)), where=norms > 0)
