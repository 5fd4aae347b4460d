"""Gradient surgery: each gradient gives way to the ones it conflicts with."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.linalg import normalise
from accord.linalg.draws import Draws
from accord.method import Method


class PCGrad(StatelessGramianAggregator):
    """Project each gradient in turn off every other one that it conflicts with, in random order; average the results.

    For each task ``i``: ``v = g_i``; for every other ``j`` in random order, if ``<v, g_j> < 0`` then
    ``v = v - <v, g_j> / |g_j|^2 g_j``. For two tasks no conflict is left; for more, a later projection may bring an
    earlier conflict back.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``. Every inner product above is one of the
    Gramian, so the projections cost O(T^3) and never touch a vector of length P.

    Args:
        seed: of the orders. Their generator's place is part of ``state_dict``.

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

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.draws = Draws(seed)

    def solve(self, gramian: Tensor) -> Tensor:
        orders = self.draws.generator().permuted(np.tile(np.arange(len(gramian)), (len(gramian), 1)), axis=1)
        return torch.from_numpy(surgery(gramian.numpy(), orders))


def surgery(gramian: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return the weights ``[T]`` of the mean projected gradient.

    Args:
        gramian: ``[T, T]``.
        orders: ``[T, T]``; row ``i`` is a permutation of all tasks, in whose order gradient ``i`` is projected (its own
            place is passed over).
    """
    cosines, norms = normalise(gramian)
    tasks = np.arange(len(norms))
    mixed = np.diag(norms)  # row i: gradient i as a combination of unit gradients
    products = mixed @ cosines  # its inner product with each of them
    for others in orders.T:
        overlap = np.minimum(products[tasks, others], 0.0)
        overlap[others == tasks] = 0.0
        mixed[tasks, others] -= overlap
        products -= overlap[:, None] * cosines[others]
    return np.divide(mixed.mean(axis=0), norms, out=np.full_like(norms, 1.0 / len(norms)), where=norms > 0)
