"""PiKE against its algorithm, and the moments of gradients against what they estimate."""

from __future__ import annotations

import math

import pytest
import torch

from accord.errors import ConfigurationError
from accord.sampling import PiKE, gradient_moments


def test_by_hand() -> None:
    sampler = PiKE([1.0, 3.0], rows=8, gradient=0.5, variance=2.0)
    sampler.observe(gramian=torch.diag(torch.tensor([4.0, 2.0])), variances=[8.0, 16.0])
    # w = (1/4 exp(0.5 * 4 - 2 / 16 * 8), 3/4 exp(0.5 * 2 - 2 / 16 * 16)) = (1/4 e, 3/4 / e).
    raw = [0.25 * math.e, 0.75 / math.e]
    assert sampler.probabilities().tolist() == pytest.approx([each / sum(raw) for each in raw])
    counts = sampler(8)
    assert counts.sum() == 8 and abs(int(counts[0]) - 8 * raw[0] / sum(raw)) < 1


def test_balance_by_the_paper() -> None:
    """Balanced: the losses are weighed by y = t softmax(t L), and so their gradients, noise included."""
    losses, norms, variances = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0]), torch.tensor([5.0, 5.0])
    balanced = PiKE([1.0, 1.0], rows=4, balance=2.0)
    balanced.observe(gramian=torch.diag(norms), variances=variances, losses=losses)
    y = 2.0 * (2.0 * losses.double()).softmax(dim=0)
    plain = PiKE([1.0, 1.0], rows=4)
    plain.observe(gramian=torch.diag(y**2 * norms), variances=y**2 * variances)
    assert torch.allclose(balanced.probabilities(), plain.probabilities())
    assert balanced.probabilities()[1] > 0.5
    with pytest.raises(ConfigurationError, match="learns from losses too"):
        balanced.observe(gramian=torch.diag(norms), variances=variances)


def test_the_unheard_keep_their_score() -> None:
    sampler = PiKE([1.0, 1.0, 1.0], rows=4, gradient=1.0)
    sampler.observe(gramian=torch.diag(torch.tensor([1.0, float("nan"), 0.0])), variances=[0.0, 1.0, 0.0])
    ratio = sampler.probabilities()
    assert float(ratio[0] / ratio[1]) == pytest.approx(math.e) and float(ratio[1]) == pytest.approx(float(ratio[2]))


def test_mixing_adapts_to_the_problem_of_the_paper() -> None:
    """Example 2.1: two quadratics at right angles, one far off. PiKE must end lower than an equal mixture does."""

    def train(adapt: bool) -> float:
        noise = torch.Generator().manual_seed(0)
        theta = torch.tensor([8.0, 0.5], dtype=torch.float64)
        sampler = PiKE([1.0, 1.0], rows=32, gradient=0.02)
        for _ in range(40):
            counts = sampler(32)
            step = theta * counts / 32 + torch.randn(2, generator=noise, dtype=torch.float64) * 0.1 / 32**0.5
            if adapt:
                sampler.observe(gramian=torch.diag(theta**2), variances=[0.01, 0.01])
            theta = theta - 0.1 * step
        return float(theta.square().sum())

    assert train(adapt=True) < 0.5 * train(adapt=False)


def test_moments_are_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64)
    sigma = torch.tensor([2.0, 0.5])  # per entry, so that a row's variance is 2 sigma^2
    found = []
    for _ in range(400):
        noise = torch.randn(2, 5, 4, 2, generator=generator, dtype=torch.float64) * sigma[:, None, None, None]
        found.append(torch.stack(gradient_moments((truth[:, None, None] + noise).mean(dim=2), rows=4)))
    norms, variances = torch.stack(found).mean(dim=0)
    assert norms.tolist() == pytest.approx([25.0, 1.0], rel=0.05)
    assert variances.tolist() == pytest.approx([8.0, 0.5], rel=0.1)


def test_moments_by_hand_and_refusals() -> None:
    norms, variances = gradient_moments(torch.tensor([[[1.0], [3.0]], [[-1.0], [1.0]]]))
    # Mean 2, variance 2, so 4 - 2 / 2; mean 0, where the estimate would fall below 0.
    assert norms.tolist() == [3.0, 0.0] and variances.tolist() == [2.0, 2.0]
    with pytest.raises(ConfigurationError, match="m of at least 2"):
        gradient_moments(torch.zeros(2, 1, 3))
