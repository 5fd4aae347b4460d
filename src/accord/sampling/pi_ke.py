"""PiKE: mixing by gradient norms and noise, where tasks hardly conflict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.mixture import Mix, Mixture
from accord.sampling.sampler import News, positive


class PiKE(Mixture):
    """Give more of the batch to tasks with large gradients and little noise in them.

    Where gradients are close to orthogonal, a step's expected progress is bounded by a sum over tasks, which one step
    of mirror descent on the shares improves: ``w_k <- w_k exp(z1 |g_k|^2 - z2 s_k^2 / (2 b))``, then summing to 1, with
    ``|g_k|^2`` the squared length of the task's gradient (the Gramian's diagonal), ``s_k^2`` the variance of a single
    row's gradient and ``b`` the rows of the batch. With ``balance = t`` it descends the tilted loss
    ``log(sum exp(t L_k)) / t`` instead of the mean one: lengths and deviations are multiplied by
    ``y_k = t exp(t L_k) / sum_j exp(t L_j)``, which draws rows to the tasks with large losses::

        norms, variances = accord.sampling.gradient_moments(gradients)     # every 100 steps or so
        sampler.observe(gramian=torch.diag(norms), variances=variances, losses=losses)

    Shapes: rows ``[T]``. Cost O(T) beyond the estimates, which the paper takes every few hundred steps. Tasks without
    news keep their score. There is no floor: a task whose gradient has vanished fades from the batches.

    Args:
        weights: prior shares ``[T]``, above 0: equal ones, or a mixture that is known to be good.
        rows: ``b``, the rows of a batch, at least 1.
        gradient: ``z1``, above 0, in units of ``1 / |g|^2``. It has to be tuned with the losses' scale.
        variance: ``z2``, 0 or more, in units of ``rows / s^2``.
        balance: ``t``, above 0 (the paper: 1 to 5), or ``None`` for the mean loss.
        mix: ``"shares"``, rounded, as in the paper; see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Li et al., PiKE: Adaptive Data Mixing for Large-Scale Multi-Task Learning Under Low Gradient Conflicts, 2025
    (algorithm 1, and Balanced-PiKE). Rows are rounded at random, not to the nearest, so that small tasks are not
    starved by rounding. The default of 0.01 for both coefficients is ours.
    """

    method: ClassVar[Method] = Method(
        title="PiKE",
        paper="PiKE: Adaptive Data Mixing for Large-Scale Multi-Task Learning Under Low Gradient Conflicts",
        year=2025,
        url="https://arxiv.org/abs/2502.06244",
        needs="gramian",
        cost="O(T) after two moments per task",
    )
    hears = ("gramian", "variances")
    scores: Tensor

    def __init__(
        self,
        weights: Sequence[float],
        rows: int,
        gradient: float = 0.01,
        variance: float = 0.01,
        balance: float | None = None,
        mix: Mix = "shares",
        seed: int = 0,
    ) -> None:
        super().__init__(len(weights), mix, seed)
        if rows < 1:
            raise ConfigurationError(f"rows is the size of a batch, at least 1; got {rows}")
        if not gradient > 0.0 or not 0.0 <= variance < math.inf or (balance is not None and not balance > 0.0):
            raise ConfigurationError(
                "gradient must be above 0, variance 0 or more, balance above 0 or None; "
                f"got {gradient}, {variance} and {balance}"
            )
        self.rows = rows
        self.gradient, self.variance, self.balance = gradient, variance, balance
        self.register_buffer("scores", torch.from_numpy(positive(weights, "weights")).log())

    def probabilities(self) -> Tensor:
        return self.scores.softmax(dim=0)

    def learn(self, news: News) -> None:
        assert news.gramian is not None and news.variances is not None
        tilt = self._tilt(news.losses)
        gain = self.gradient * news.gramian.diagonal() * tilt**2
        noise = self.variance * news.variances * tilt**2 / (2.0 * self.rows)
        change = gain - noise
        self.scores += torch.where(change.isfinite(), change, 0.0)
        self.scores -= self.scores.max()

    def _tilt(self, losses: Tensor | None) -> Tensor:
        if self.balance is None:
            return torch.ones(self.tasks, dtype=torch.float64)
        if losses is None:
            raise ConfigurationError("PiKE with balance= learns from losses too: pass observe(losses=...)")
        known = torch.where(losses.isfinite(), losses, -torch.inf)
        return self.balance * (self.balance * known).softmax(dim=0)
