"""Sampling that follows the model's own uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.mixture import Mix, Mixture, tempered
from accord.sampling.sampler import News, positive


class UncertaintyAware(Mixture):
    """Sample more of the tasks that the model is unsure of, on a small trusted set of each.

    ``p = softmax(scores)``, and each ``observe(rewards=)`` takes one step up the gradient of ``sum_k R_k log p_k``:
    ``scores_k <- scores_k + rate (R_k - p_k sum_j R_j)``. With uncertainties that stay as they are, ``p`` comes to
    rest where it is proportional to them. Tasks without news, NaN, take no part in the step and keep their scores.

    Rewards are uncertainties, at least 0 and best about 1 at most: for instance the mean entropy of the predictions
    over its logarithmic maximum, the variance over dropout masks, or 1 minus the expected probability of the label.

    Shapes: rows ``[T]``. Cost O(T), beyond the predictions on trusted data every now and then.

    Args:
        sizes: ``[T]``, examples per task, which it starts from.
        rate: above 0.
        temperature: of the start, ``p_k`` proportional to ``n_k^(1/temperature)``; 1 is proportional to size.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Wu et al., Uncertainty-Aware Balancing for Multilingual and Multi-Domain Neural Machine Translation
    Training, 2021 (MultiUAT), whose scores are learnt by the same gradient. The plain step in place of Adam and its
    rate are ours.
    """

    method: ClassVar[Method] = Method(
        title="MultiUAT",
        paper="Uncertainty-Aware Balancing for Multilingual and Multi-Domain Neural Machine Translation Training",
        year=2021,
        url="https://arxiv.org/abs/2109.02284",
        needs="rewards",
        cost="O(T)",
    )
    hears = ("rewards",)
    scores: Tensor

    def __init__(
        self, sizes: Sequence[int], rate: float = 0.1, temperature: float = 1.0, mix: Mix = "rows", seed: int = 0
    ) -> None:
        super().__init__(len(sizes), mix, seed)
        if not rate > 0.0 or not temperature > 0.0:
            raise ConfigurationError(f"rate and temperature must be above 0; got {rate} and {temperature}")
        self.rate = rate
        start = torch.from_numpy(tempered(positive(sizes, "sizes"), temperature)).log()
        self.register_buffer("scores", start)

    def probabilities(self) -> Tensor:
        return self.scores.softmax(dim=0)

    def learn(self, news: News) -> None:
        assert news.rewards is not None
        heard = news.rewards.isfinite()
        rewards = news.rewards[heard]
        if bool((rewards < 0).any()):
            raise ConfigurationError(f"uncertainties must be at least 0; got {news.rewards.tolist()}")
        p = self.scores[heard].softmax(dim=0)
        self.scores[heard] += self.rate * (rewards - p * rewards.sum())
