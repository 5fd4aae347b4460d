"""The evidence bound in closed form, against PyTorch's own divergence and its minimum over the prior."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn, tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

import accord
from accord.errors import ConfigurationError
from accord.weighting import EvidenceWeighting


def test_the_objective_is_the_bound_at_the_best_prior() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = [torch.randn(size, generator=generator, dtype=torch.float64) for size in (7, 3)]
    deviation, rows, emphasis = 0.3, 50, 2.0
    weighting = EvidenceWeighting([7, 3], emphasis=emphasis * rows, deviation=deviation)
    distances = torch.stack([group.square().sum() for group in groups])
    losses = torch.cat([tensor([0.8], dtype=torch.float64), distances])
    bound = emphasis * rows * 0.8
    for group, variance in zip(groups, weighting.variances(distances).tolist(), strict=True):

        def divergence(log_variance: float, group: torch.Tensor = group) -> float:
            prior = Normal(torch.zeros_like(group), math.exp(log_variance / 2))
            return float(kl_divergence(Normal(group, deviation), prior).sum())

        best = minimize_scalar(divergence, bounds=(-10, 10), method="bounded", options={"xatol": 1e-10})
        assert math.exp(best.x) == pytest.approx(variance, rel=1e-4)
        bound += divergence(math.log(variance))
    assert weighting.objective(losses).item() == pytest.approx(bound / (emphasis * rows))


def test_weights_by_hand() -> None:
    weighting = EvidenceWeighting([4], deviation=1.0)
    # The variance is 8 / 4 + 1, the weight 1 / (2 * 4 * 3).
    assert weighting(tensor([5.0, 8.0])).tolist() == pytest.approx([1.0, 1 / 24])
    assert weighting.variances(tensor([8.0])).tolist() == pytest.approx([3.0])
    assert weighting(tensor([5.0, 8.0]), active=tensor([False, True])).tolist() == pytest.approx([0.0, 1 / 24])


def test_samples_carry_the_slope_of_the_deviation() -> None:
    weighting = EvidenceWeighting([3], deviation=0.5)
    parameter = nn.Parameter(torch.zeros(3))
    state = weighting.draws.place.clone()
    (drawn,) = weighting.sample({"w": parameter}).values()
    noise = (drawn / 0.5).detach()
    drawn.square().sum().backward()
    assert weighting.raw.grad is not None and parameter.grad is not None
    assert torch.allclose(parameter.grad, noise)  # 2 * 0.5 noise
    slope = float(torch.sigmoid(weighting.raw.detach()))  # of softplus
    assert float(weighting.raw.grad) == pytest.approx(float((noise.square() * 2 * 0.5).sum()) * slope, rel=1e-5)
    weighting.draws.place.copy_(state)
    assert torch.equal(weighting.sample({"w": parameter})["w"], drawn)


def test_it_finds_a_strength_that_generalises_without_validation_data() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(60, 40, generator=generator, dtype=torch.float64)
    truth = torch.zeros(40, dtype=torch.float64)
    truth[:3] = 1.0
    noise = torch.randn(60, generator=generator, dtype=torch.float64)
    targets = features @ truth + noise
    model = nn.Linear(40, 1, bias=False).double()
    weighting = EvidenceWeighting([40], emphasis=60, deviation=0.05)
    with torch.no_grad():
        model.weight.zero_()
    optimiser = torch.optim.Adam([*model.parameters(), *weighting.parameters()], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        drawn = torch.func.functional_call(model, weighting.sample(dict(model.named_parameters())), (features,))
        likelihood = (drawn.squeeze(1) - targets).square().mean() / 2
        accord.backward([likelihood, model.weight.square().sum()], list(model.parameters()), weighting)
        optimiser.step()
    least_squares = torch.linalg.lstsq(features, targets[:, None]).solution.squeeze(1)
    learned = model.weight.detach().squeeze(0)
    assert (learned - truth).norm() < 0.8 * (least_squares - truth).norm()
    assert 0.02 < softplus(weighting.raw).item() < 0.3  # around 1 / sqrt(60), the posterior's width


def test_what_it_cannot_work_with_is_said() -> None:
    for options, match in (
        ({"sizes": [0]}, "1 or more"),
        ({"sizes": [3], "emphasis": 0.0}, "emphasis"),
        ({"sizes": [3], "deviation": math.inf}, "deviation"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            EvidenceWeighting(**options)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="one likelihood and its groups"):
        EvidenceWeighting([3])(torch.ones(3))
    with pytest.raises(ConfigurationError, match="not negative"):
        EvidenceWeighting([3])(tensor([1.0, -1.0]))
