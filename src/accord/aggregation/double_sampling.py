"""Weights that are learned from independent mini-batches, so that their steps are unbiased."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.shares import among, fresh_or_kept, moved, weight_dtype
from accord.balancer import GramianAggregator, check_finite
from accord.errors import ConfigurationError


class DoubleSampling(GramianAggregator):
    """A Gramian aggregator whose weights take steps along inner products of gradients of two mini-batches.

    The caller passes the losses of every task on each mini-batch, batch by batch, ``2 T`` or ``3 T`` in all; halves of
    one batch will do. The block of the ``[2 T, 2 T]`` Gramian that crosses batches has no noise squared in it. With two
    batches both move the parameters, with three the third alone. ``T`` losses are one batch that plays all parts, which
    is what a plain training loop has to offer: the weights' steps are then those of the stochastic gradient, biased as
    MGDA's are.

    Args:
        tasks: T; ``None`` if there is only ever one batch.
    """

    shares: Tensor
    units: Tensor

    def __init__(self, tasks: int | None) -> None:
        super().__init__()
        if tasks is not None and tasks < 1:
            raise ConfigurationError(f"tasks counts the tasks, not the losses of a step; got {tasks}")
        self.tasks = tasks
        self.register_buffer("shares", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("units", torch.zeros(2, dtype=torch.float64))  # their sum over the steps, and how many

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        tasks, batches = self._layout(len(gramian))
        there = torch.ones(len(gramian), dtype=torch.bool) if active is None else active.cpu()
        kept = there.nonzero().squeeze(1)
        matrix = gramian.detach().to("cpu", torch.float64)
        check_finite(matrix[kept][:, kept], kept)
        self.shares = fresh_or_kept(self.shares, tasks, type(self).__name__)
        present = there.numpy().reshape(batches, tasks)
        self._learn(matrix.numpy().reshape(batches, tasks, batches, tasks), present)
        found = np.zeros((batches, tasks))
        moving = slice(2 if batches == 3 else 0, None)
        found[moving] = self._spread(present[moving])
        return torch.from_numpy(found.reshape(-1)).to(gramian.device, weight_dtype(gramian))

    @abstractmethod
    def step(self, shares: np.ndarray, products: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Return the next shares ``[n]`` of the ``n > 0`` tasks ``kept``.

        Args:
            shares: ``[n]``, on the simplex.
            products: ``[n, n]`` inner products across batches, in units of the mean gradient's squared length over the
                steps so far; not symmetric.
            kept: ``[n]``, which tasks these are.
        """

    @abstractmethod
    def mix(self, shares: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Return the weights ``[n]`` of the gradients of the ``n > 0`` tasks ``kept``, given their ``shares``."""

    def _layout(self, count: int) -> tuple[int, int]:
        tasks = count if self.tasks is None else self.tasks
        if count not in (tasks, 2 * tasks, 3 * tasks):
            raise ConfigurationError(
                f"{type(self).__name__} is set up for {tasks} tasks but was given {count} losses: pass those of one, "
                f"two or three mini-batches, {tasks}, {2 * tasks} or {3 * tasks}, batch by batch, None where one is "
                "absent"
            )
        return tasks, count // tasks

    def _learn(self, blocks: np.ndarray, present: np.ndarray) -> None:
        one, two = 0, min(1, len(present) - 1)
        kept = (present[one] & present[two]).nonzero()[0]
        if not kept.size:
            return
        lengths = (np.diagonal(blocks[i, kept][:, i, kept]).clip(0.0) ** 0.25 for i in (one, two))
        # This step's lengths alone would be a unit that its noise plays a part in, and bias would be back.
        self.units += torch.tensor([np.mean(np.multiply(*lengths)) ** 2, 1.0], dtype=torch.float64).to(self.units)
        unit = float(self.units[0] / self.units[1])
        if unit > 0:
            products = blocks[one, kept][:, two, kept] / unit
            self.shares = moved(self.shares, kept, self.step(among(self.shares, kept), products, kept))

    def _spread(self, moving: np.ndarray) -> np.ndarray:
        """Return weights ``[batches, T]`` from those of the tasks; a task's batches share its weight equally."""
        times = moving.sum(axis=0)
        kept = times.nonzero()[0]
        weights = np.zeros(moving.shape)
        if kept.size:
            weights[:, kept] = moving[:, kept] * self.mix(among(self.shares, kept), kept) / times[kept]
        return weights
