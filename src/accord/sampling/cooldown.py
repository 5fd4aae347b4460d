"""A temperature that falls as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.mixture import Mix, Schedule, tempered
from accord.sampling.sampler import positive
from accord.sampling.temperature import check_temperature


class Cooldown(Schedule):
    """Sample small tasks often at first and less often later, before they are overfitted.

    ``p_k`` is proportional to ``n_k^(1/t)``, where the temperature ``t`` is ``hot`` until step ``start``, ``cold``
    from step ``end`` on, and between the two on a line.

    Shapes: rows ``[T]``. Cost O(T).

    Args:
        sizes: ``[T]``, examples per task.
        start: number of batches drawn hot, 0 or more.
        end: number of batches after which it is cold, at least ``start``; equal, for a single switch.
        hot: temperature above 0.
        cold: temperature above 0; 1 is proportional to size.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Li et al., Upsample or Upweight? Balanced Training on Heavily Imbalanced Datasets, 2024: upsampling has less
    gradient variance than upweighting and converges faster, but overfits small tasks, so the temperature is lowered
    during training. The temperatures by default and the line are ours.
    """

    method: ClassVar[Method] = Method(
        title="Cooldown",
        paper="Upsample or Upweight? Balanced Training on Heavily Imbalanced Datasets",
        year=2024,
        url="https://arxiv.org/abs/2410.04579",
        needs="nothing",
        cost="O(T)",
    )

    def __init__(
        self,
        sizes: Sequence[int],
        start: int,
        end: int,
        hot: float = 5.0,
        cold: float = 1.0,
        mix: Mix = "rows",
        seed: int = 0,
    ) -> None:
        if not 0 <= start <= end:
            raise ConfigurationError(f"the cooldown must start at 0 or later and end no earlier; got {start} to {end}")
        check_temperature(hot)
        check_temperature(cold)
        super().__init__(len(sizes), mix, seed)
        self.sizes = positive(sizes, "sizes")
        self.start, self.end = start, end
        self.hot, self.cold = hot, cold

    @property
    def temperature(self) -> float:
        """The temperature of the next batch."""
        if self.drawn < self.start:
            return self.hot
        if self.drawn >= self.end:
            return self.cold
        return self.hot + (self.cold - self.hot) * (self.drawn - self.start) / (self.end - self.start)

    def probabilities(self) -> Tensor:
        weights = tempered(self.sizes, self.temperature)
        return torch.from_numpy(weights / weights.sum())
