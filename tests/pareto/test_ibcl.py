"""Tasks one after the other: posteriors that are kept, and models for preferences without training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import norm
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError
from accord.pareto import IBCL, evaluate_front, simplex_grid
from accord.pareto.ibcl import Learner


class Level(nn.Module):
    """One number, whatever the input."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.level.expand(len(inputs))


def taught(model: IBCL, level: float, deviation: float) -> None:
    """Add a task whose posteriors are known."""
    learners = model.learners()
    for number, learner in enumerate(learners):
        with torch.no_grad():
            learner.mean.fill_(level + 0.1 * number)
            learner.raw.fill_(math.log(math.expm1(deviation)))
    model.learn(learners)


def test_the_divergence_is_that_of_normal_distributions() -> None:
    learner = Learner(nn.Linear(2, 1), tensor([0.0, 1.0, 2.0]), tensor([0.1, 1.0, 2.0]))
    assert float(learner.divergence().detach()) == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        learner.mean += 0.3
        learner.raw += 0.4
    ours = torch.distributions.Normal(learner.mean, learner.deviation)
    prior = torch.distributions.Normal(learner.prior_mean, learner.prior_deviation)
    expected = torch.distributions.kl_divergence(ours, prior).sum()
    torch.testing.assert_close(learner.divergence(), expected)


def test_learning_finds_the_posterior_that_is_known() -> None:
    """Prior N(0, 1), 20 observations of variance 1/2 around 1: the posterior has precision 41 and mean 40/41."""
    model = IBCL(Level(), spreads=(1.0,))
    (learner,) = model.learners()
    targets = 1.0 + 0.5 * torch.linspace(-1, 1, 20)
    optimiser = torch.optim.Adam(learner.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.99)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        optimiser.zero_grad()
        noise = sum((learner(targets, generator) - targets).square().sum() for _ in range(4)) / 4
        (noise + learner.divergence()).backward()
        optimiser.step()
        schedule.step()
    assert float(learner.mean.detach()) == pytest.approx(40 / 41, abs=0.03)
    assert float(learner.deviation.detach()) == pytest.approx(41**-0.5, rel=0.1)
    model.learn([learner])
    (second,) = model.learners()
    torch.testing.assert_close(second.prior_mean, learner.mean.detach())
    torch.testing.assert_close(second.deviation, learner.deviation)


def test_mixtures_and_regions_by_hand() -> None:
    model = IBCL(Level(), spreads=(0.5, 1.0))
    taught(model, 0.0, 0.2)
    taught(model, 1.0, 0.4)
    mean, deviation = model.combined(tensor([0.25, 0.75]))
    assert (float(mean), float(deviation)) == pytest.approx((0.25 * 0.05 + 0.75 * 1.05, 0.25 * 0.2 + 0.75 * 0.4))
    low, high = model.region(tensor([0.25, 0.75]), 0.9)
    assert float(low) == pytest.approx(norm.ppf(0.05, float(mean), float(deviation)), abs=1e-5)
    assert float(high) == pytest.approx(norm.ppf(0.95, float(mean), float(deviation)), abs=1e-5)
    centre = model.solution(tensor([0.25, 0.75]))
    assert isinstance(centre, Level) and float(centre.level.detach()) == pytest.approx(float(mean))
    generator = torch.Generator().manual_seed(0)
    drawn = [float(model.solution(tensor([0.25, 0.75]), generator, 0.9).level.detach()) for _ in range(50)]
    assert min(drawn) >= float(low) and max(drawn) <= float(high) and max(drawn) - min(drawn) > 0.5 * float(high - low)


def test_the_front_is_read_off_without_training() -> None:
    model = IBCL(Level(), spreads=(1.0,))
    taught(model, 0.0, 0.1)
    taught(model, 1.0, 0.1)

    def criterion(solution: nn.Module) -> Tensor:
        level = solution(torch.ones(1))
        return torch.cat([level.square(), (level - 1).square()])

    grid = simplex_grid(2, 4)
    points = evaluate_front(model, grid, criterion)  # type: ignore[arg-type]
    torch.testing.assert_close(points, torch.stack([grid[:, 1] ** 2, grid[:, 0] ** 2], dim=1), atol=1e-6, rtol=1e-6)


def test_posteriors_that_are_near_others_cost_no_memory(tmp_path: Path) -> None:
    model = IBCL(Level(), spreads=(1.0,), tolerance=0.05)
    taught(model, 0.0, 0.1)
    taught(model, 0.03, 0.14)  # at a distance of exactly 0.05
    taught(model, 1.0, 0.1)
    assert model.places.tolist() == [[0], [0], [1]] and len(model.means) == 2
    assert float(model.combined(tensor([0.0, 1.0, 0.0]))[0]) == 0.0
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    again = IBCL(Level(), spreads=(1.0,))
    again.load_state_dict(load_file(tmp_path / "m.safetensors"))
    assert again.tasks == 3
    torch.testing.assert_close(again.combined(tensor([0.5, 0.0, 0.5])), model.combined(tensor([0.5, 0.0, 0.5])))


@pytest.mark.parametrize("preference", [[0.5, 0.5, 0.0], [0.5, 0.4], [1.5, -0.5]])
def test_preferences_off_the_simplex_are_refused(preference: list[float]) -> None:
    model = IBCL(Level(), spreads=(1.0,))
    taught(model, 0.0, 0.1)
    taught(model, 1.0, 0.1)
    with pytest.raises(ConfigurationError, match="one entry for each of the 2 tasks"):
        model.combined(tensor(preference))


def test_bad_options_are_refused() -> None:
    for options in ({"spreads": ()}, {"spreads": (0.0,)}, {"tolerance": -1.0}):
        with pytest.raises(ConfigurationError, match="spreads are"):
            IBCL(Level(), **options)
    model = IBCL(Level())
    with pytest.raises(ConfigurationError, match="3 learners"):
        model.learn(model.learners()[:2])
    with pytest.raises(ConfigurationError, match="mass"):
        taught(model, 0.0, 0.1)
        model.region(tensor([1.0]), 1.0)
