"""Gradient vaccine: gradients are pulled towards the cosine that they usually have, and not only out of conflict."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import GramianAggregator, solve_active
from accord.errors import ConfigurationError
from accord.linalg import normalise
from accord.linalg.draws import Draws
from accord.method import Method

# Two gradients closer than this to one line span no plane in which one could be turned.
PARALLEL = 1e-12


class GradVac(GramianAggregator):
    """Turn each gradient towards every other one until their cosine is at least its running mean; average the results.

    For each task ``i``: ``v = g_i``; for every other ``j`` in random order, with ``phi = cos(v, g_j)`` and the target
    ``r_ij``: if ``phi < r_ij``, then ``v = v + |v| (r sqrt(1 - phi^2) - phi sqrt(1 - r^2)) / (|g_j| sqrt(1 - r^2))
    g_j``, after which ``cos(v, g_j) = r_ij``. Then ``r_ij = (1 - beta) r_ij + beta phi``, whether ``v`` was turned or
    not. Targets start at 0: the first step projects as PCGrad does.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``. Everything is done on inner products, O(T^3)
    after the Gramian. State: the targets ``[T, T]``.

    Args:
        beta: weight of the newest cosine in the running mean, in [0, 1].
        seed: of the orders. Their place in the stream is part of ``state_dict``.

    Source: Wang et al., Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual
    Models, 2021 (beta 0.01). The paper adds the gradients up; here they are averaged, the common scale. It measures
    ``phi`` with the gradient as it has been turned so far, and so do we. It keeps targets per layer, as
    :class:`~accord.aggregation.PerGroup` does here. A gradient that is turned gets longer without bound as its target
    nears 1, so the direction can be longer than every gradient. Where ``v`` and ``g_j`` lie on one line no multiple of
    ``g_j`` turns ``v``: parallel ones are left alone, opposed ones lose all of ``v``, as under PCGrad (peers guard the
    square roots with 1e-8 and move by a multiple of rounding). A zero gradient meets nobody and leaves the targets
    alone.
    """

    method: ClassVar[Method] = Method(
        title="GradVac",
        paper="Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models",
        year=2021,
        url="https://arxiv.org/abs/2010.05874",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )
    targets: Tensor

    def __init__(self, beta: float = 0.01, seed: int = 0) -> None:
        super().__init__()
        if not 0.0 <= beta <= 1.0:
            raise ConfigurationError(f"beta must lie between 0 and 1, the paper's 0.01 for one; got {beta}")
        self.beta = beta
        self.draws = Draws(seed)
        self.register_buffer("targets", torch.zeros(0, 0, dtype=torch.float64))

    def weights(
        self,
        gramian: Tensor,
        *,
        losses: Tensor | None = None,
        active: Tensor | None = None,
    ) -> Tensor:
        tasks = len(gramian)
        if not self.targets.numel():
            self.targets = self.targets.new_zeros(tasks, tasks)
        if len(self.targets) != tasks:
            raise ConfigurationError(
                f"GradVac is set up for {len(self.targets)} tasks but was given {tasks}; "
                "always show it the same tasks, and those that are absent with active="
            )
        kept = np.arange(tasks) if active is None else active.cpu().numpy().nonzero()[0]
        return solve_active(lambda part: self._solve(part, kept), gramian, active)

    def _solve(self, gramian: Tensor, kept: np.ndarray) -> Tensor:
        tasks = len(gramian)
        orders = self.draws.generator().permuted(np.tile(np.arange(tasks), (tasks, 1)), axis=1)
        targets = self.targets.cpu().numpy().copy()
        part = targets[np.ix_(kept, kept)]
        found = vaccinate(gramian.numpy(), orders, part, self.beta)
        targets[np.ix_(kept, kept)] = part
        self.targets = torch.from_numpy(targets).to(self.targets.device)
        return torch.from_numpy(found)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


def vaccinate(gramian: np.ndarray, orders: np.ndarray, targets: np.ndarray, beta: float) -> np.ndarray:
    """Return the weights ``[T]`` of the mean turned gradient, and move ``targets`` ``[T, T]`` on in place.

    Args:
        gramian: ``[T, T]``.
        orders: ``[T, T]``; row ``i`` is a permutation of all tasks, in whose order gradient ``i`` meets them.
        targets: ``[T, T]``, the cosine that gradient ``i`` is to have with ``j`` at least.
        beta: weight of the newest cosine.
    """
    cosines, norms = normalise(gramian)
    tasks = np.arange(len(norms))
    mixed = np.eye(len(norms))  # row i: gradient i as a combination of unit gradients, at length 1
    products = cosines.copy()  # its inner product with each of them
    squares = (norms > 0).astype(np.float64)  # its squared length
    for others in orders.T:
        met = (others != tasks) & (norms > 0) & (norms[others] > 0) & (squares > PARALLEL)
        lengths = np.sqrt(np.maximum(squares, PARALLEL))
        along = products[tasks, others]
        phi = np.clip(along / lengths, -1.0, 1.0)
        goal = targets[tasks, others]
        across = np.sqrt(1.0 - phi**2)
        slope = goal / np.sqrt(np.maximum(1.0 - goal**2, PARALLEL))
        shift = np.where(across > np.sqrt(PARALLEL), lengths * (slope * across - phi), np.maximum(-along, 0.0))
        shift *= met & (phi < goal)
        mixed[tasks, others] += shift
        products += shift[:, None] * cosines[others]
        squares = np.maximum(np.einsum("ij,ij->i", mixed @ cosines, mixed), 0.0)
        targets[tasks[met], others[met]] = ((1.0 - beta) * goal + beta * phi)[met]
    return np.divide(norms @ mixed / len(norms), norms, out=np.full_like(norms, 1.0 / len(norms)), where=norms > 0)
