"""Dual balancing: logarithms of losses, and gradients of one length."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.aggregation.remembered import remember
from accord.balancer import HeadWeights
from accord.errors import ConfigurationError
from accord.method import Method

# Losses below this count as this much, the constant that the authors' code adds under its logarithm.
FLOOR = 1e-8


class DBMTL(JacobianAggregator, HeadWeights):
    """Descend the logarithms of the losses, with gradients averaged in time and brought to the length of the longest.

    With ``l_i = log L_i`` and ``g_i`` its gradient, in the ``k``-th step of a task ``h_i = b_k h_i + (1 - b_k) g_i``
    with ``b_k = beta / k^sigma``; the direction is ``max_j |h_j| / T sum_i h_i / |h_i|``, and the heads descend the
    mean of the ``l_i``. The unit of a loss plays no part. :func:`accord.backward` gives plain losses, and what it is
    given is divided by them here::

        accord.backward(losses, shared=params, balancer=DBMTL())

    Called on a Jacobian without ``losses``, rows are taken as they are: gradients of logarithms already.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T P). State: ``h`` ``[T, P]``, as large as the Jacobian.

    Args:
        beta: in [0, 1), how much of the average a step keeps; 0 remembers nothing.
        sigma: 0 or more, how fast that fades.
        logarithm: whether to take logarithms. ``False`` is for losses that are logarithms already, or that can be
            negative; it leaves the second half of the method, with heads on the mean loss.

    Raises:
        ConfigurationError: in a step, if a loss is negative and its logarithm is asked for; or the tasks or parameters
            are not those that are remembered.

    Source: Lin et al., Dual-Balancing for Multi-Task Learning, 2023 (beta 0.9 and sigma 0, the defaults of the authors'
    code, which starts from ``h = 0``, so that its first steps are short; here from the first gradient). The paper adds
    up; here the mean, the common scale, in trunk and heads alike. A task whose ``h`` is 0 adds nothing (peers divide by
    ``|h| + 1e-8``, which shrinks small gradients). The authors' code adds 1e-8 to every loss; here losses below it
    count as 1e-8, so that larger ones are exact. Absent tasks keep their ``h``.
    """

    method: ClassVar[Method] = Method(
        title="DB-MTL",
        paper="Dual-Balancing for Multi-Task Learning",
        year=2023,
        url="https://arxiv.org/abs/2308.12029",
        needs="jacobian",
        cost="T backwards + O(T P), and T P numbers of state",
    )
    average: Tensor
    steps: Tensor

    def __init__(self, beta: float = 0.9, sigma: float = 0.0, logarithm: bool = True) -> None:
        super().__init__()
        if not 0.0 <= beta < 1.0:
            raise ConfigurationError(f"beta must lie in [0, 1), 0.9 for one; got {beta}")
        if not 0.0 <= sigma < float("inf"):
            raise ConfigurationError(f"sigma must be a finite number of at least 0; got {sigma}")
        self.beta = beta
        self.sigma = sigma
        self.logarithm = logarithm
        self.register_buffer("average", torch.zeros(0, 0))
        self.register_buffer("steps", torch.zeros(0, dtype=torch.float64))

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        kept, tasks = present.kept, present.tasks
        if self.logarithm and present.losses is not None:
            rows = rows / self._divisors(present.losses, kept)[:, None].to(rows)
        self.average = remember(self.average, rows, tasks, "DBMTL")
        if not self.steps.numel():
            self.steps = torch.zeros(tasks, dtype=torch.float64, device=rows.device)
        self.steps[kept] += 1
        number = self.steps[kept]
        share = torch.where(number > 1, self.beta / number**self.sigma, 0.0).to(rows)[:, None]
        current = share * self.average[kept] + (1 - share) * rows
        self.average[kept] = current
        # Units first: squares of tiny or huge entries would leave the range of single precision.
        peaks = current.abs().amax(dim=1, keepdim=True)
        scaled = current / torch.where(peaks > 0, peaks, torch.ones_like(peaks))
        lengths = scaled.norm(dim=1, keepdim=True)
        units = scaled / torch.where(lengths > 0, lengths, torch.ones_like(lengths))
        return units.mean(dim=0) * (lengths * peaks).max()

    def head_weights(self, losses: Tensor, *, active: Tensor) -> Tensor:
        exact = torch.promote_types(losses.dtype, torch.float32)
        weights = torch.full_like(losses, 1.0 / max(int(active.sum()), 1), dtype=exact)
        if self.logarithm:
            kept = active.nonzero().squeeze(1)
            weights[kept] /= self._divisors(losses[kept], kept)
        return weights

    def _divisors(self, losses: Tensor, kept: Tensor) -> Tensor:
        """Return what the gradients ``[n, P]`` of losses ``[n]`` are divided by to be those of logarithms."""
        wrong = (losses < 0).nonzero().squeeze(1)
        if wrong.numel():
            task, value = int(kept[wrong[0]]), float(losses[wrong[0]])
            raise ConfigurationError(
                f"DBMTL descends logarithms, and the loss of task {task} is {value:.6g}, below 0: shift it, "
                "or pass logarithm=False for the half of the method that needs none"
            )
        return losses.to(torch.promote_types(losses.dtype, torch.float32)).clamp(min=FLOOR)  # a half knows no 1e-8

    def extra_repr(self) -> str:
        return f"beta={self.beta}, sigma={self.sigma}, logarithm={self.logarithm}"
