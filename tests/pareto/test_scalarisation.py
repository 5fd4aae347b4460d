"""Scalarisations by hand, what their solutions are on known fronts, and what they cannot reach."""

from __future__ import annotations

import pytest
import torch

from accord.errors import ConfigurationError
from accord.pareto import (
    AASFScalarisation,
    LinearScalarisation,
    PBIScalarisation,
    Scalarisation,
    SmoothTchebycheffScalarisation,
    TchebycheffScalarisation,
    epsilon,
    igd_plus,
    problems,
    r2,
)

F, W = torch.tensor([3.0, 1.0]), torch.tensor([0.25, 0.75])


@pytest.mark.parametrize(
    ("scalarisation", "wanted"),
    [
        (LinearScalarisation(), 1.5),
        (TchebycheffScalarisation(), 0.75),
        (TchebycheffScalarisation(inverse=True), 12.0),
        (AASFScalarisation(rho=0.1), 0.75 + 0.15),
        # Both terms are 0.75: the logarithm of two equal exponentials is log 2 above them.
        (SmoothTchebycheffScalarisation(mu=0.5), 0.75 + 0.5 * 0.6931472),
        # u = (1, 3) / sqrt(10): d1 = 6 / sqrt(10), and f - d1 u = (2.4, -0.8).
        (PBIScalarisation(theta=5.0), 6 / 10**0.5 + 5 * (2.4**2 + 0.8**2) ** 0.5),
    ],
)
def test_by_hand(scalarisation: Scalarisation, wanted: float) -> None:
    assert scalarisation(F, W).item() == pytest.approx(wanted, rel=1e-6)
    batched = scalarisation(F.expand(4, 3, 2), W)
    assert batched.shape == (4, 3) and bool((batched - batched[0, 0]).abs().max() < 1e-6)


def best(scalarisation: Scalarisation, front: torch.Tensor, preference: torch.Tensor) -> torch.Tensor:
    return front[scalarisation(front, preference.double()).argmin()]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_only_weighted_sums_miss_the_inside_of_a_concave_front(share: float) -> None:
    front = problems.zdt2().front(2001)
    preference = torch.tensor([share, 1 - share])
    ends = best(LinearScalarisation(), front, preference)
    assert ends.tolist() in ([0.0, 1.0], [1.0, 0.0])
    for scalarisation in (
        TchebycheffScalarisation(),
        SmoothTchebycheffScalarisation(mu=1e-3),
        AASFScalarisation(1e-3),
    ):
        found = best(scalarisation, front, preference) * preference
        assert found[0].item() == pytest.approx(found[1].item(), abs=2e-3)  # w_i f_i alike
    for scalarisation in (TchebycheffScalarisation(inverse=True), PBIScalarisation(20.0)):
        found = best(scalarisation, front, preference) / preference
        assert found[0].item() == pytest.approx(found[1].item(), abs=1e-2)  # on the preference's own ray


def test_the_sum_in_aasf_prefers_the_point_that_is_better_for_nothing() -> None:
    weak, strong, even = torch.tensor([1.0, 0.8]), torch.tensor([1.0, 0.2]), torch.tensor([0.5, 0.5])
    assert TchebycheffScalarisation()(weak, even) == TchebycheffScalarisation()(strong, even)
    assert AASFScalarisation()(weak, even) > AASFScalarisation()(strong, even)


def test_smooth_maximum_lies_within_its_bound() -> None:
    objectives = torch.rand(100, 5, generator=torch.Generator().manual_seed(0))
    even = torch.full((5,), 0.2)
    gap = SmoothTchebycheffScalarisation(mu=0.3)(objectives, even) - TchebycheffScalarisation()(objectives, even)
    assert gap.min() > 0 and gap.max() <= 0.3 * torch.log(torch.tensor(5.0))


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="mu must be"):
        SmoothTchebycheffScalarisation(mu=0)
    with pytest.raises(ConfigurationError, match="theta must be"):
        PBIScalarisation(theta=-1)


def test_indicators_of_a_shifted_front() -> None:
    pytest.importorskip("moocore")
    front = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    assert igd_plus(front, front) == 0.0 and epsilon(front, front) == 0.0
    assert epsilon(front + 0.25, front) == pytest.approx(0.25)
    assert igd_plus(front + 0.25, front) == pytest.approx(0.25 * 2**0.5)
    assert r2(front, [0.0, 0.0]) < r2(front + 0.25, [0.0, 0.0])
