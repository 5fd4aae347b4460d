"""Spectra by hand, the risk they measure, and what a price on leaving the average does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import SpectralRisk

LOSSES = tensor([3.0, 1.0, 2.0, 5.0], dtype=torch.float64)


def test_spectra_by_hand() -> None:
    assert SpectralRisk("cvar")(LOSSES).tolist() == [0.5, 0.0, 0.0, 0.5]
    # The worst 0.3 of 4 losses are 1.2 of them: 1 and a fifth.
    assert SpectralRisk("cvar", 0.3)(LOSSES).tolist() == pytest.approx([0.2 / 1.2, 0, 0, 1 / 1.2])
    assert SpectralRisk("top_k", 3)(LOSSES).tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert SpectralRisk("top_k", 9)(LOSSES).tolist() == pytest.approx([0.25] * 4)
    assert SpectralRisk([1, 1, 2, 4])(LOSSES).tolist() == [0.25, 0.125, 0.125, 0.5]


def test_the_extremile_is_the_expected_worst_of_its_draws() -> None:
    values = LOSSES.numpy()
    worst_of_three = np.mean([max(a, b, c) for a in values for b in values for c in values])
    assert float(SpectralRisk("extremile", 3)(LOSSES) @ LOSSES) == pytest.approx(worst_of_three)


def test_exponential_weights_grow_by_one_factor_per_rank() -> None:
    weights = SpectralRisk("esrm", 2.0)(LOSSES)[[1, 2, 0, 3]]
    assert (weights[1:] / weights[:-1]).tolist() == pytest.approx([math.exp(2.0 / 4)] * 3)
    assert SpectralRisk("esrm", 1e4)(LOSSES).tolist() == pytest.approx([0, 0, 0, 1])


@pytest.mark.parametrize("shift", [0.7, 3.0])  # the hull binds at the one, and in part at the other
@pytest.mark.parametrize("penalty", ["chi2", "kl"])
def test_the_weights_are_the_slope_of_the_risk_that_a_generic_solver_finds(penalty: str, shift: float) -> None:
    entries = SpectralRisk("extremile").risk.entries(4)

    def risk(losses: np.ndarray) -> float:
        def value(q: np.ndarray) -> float:
            distance = 4 * ((q - 0.25) ** 2).sum() if penalty == "chi2" else (q * np.log(4 * q)).sum()
            return -(q @ losses - shift * distance)

        # The k largest of q weigh at most as much as the k largest entries.
        tails = [{"type": "ineq", "fun": lambda q, k=k: entries[-k:].sum() - np.sort(q)[-k:].sum()} for k in (1, 2, 3)]
        limits = [*tails, {"type": "eq", "fun": lambda q: q.sum() - 1}]
        start = np.linspace(0.2, 0.3, 4)[np.argsort(np.argsort(losses))]
        found = minimize(value, start, constraints=limits, bounds=[(1e-6, 1)] * 4, options={"ftol": 1e-13})
        return -float(found.fun)

    weights = SpectralRisk("extremile", shift=shift, penalty=penalty)(LOSSES)  # pyright: ignore[reportArgumentType]
    for task in range(4):
        moved = [LOSSES.numpy() + sign * 1e-3 * np.eye(4)[task] for sign in (1, -1)]
        assert (risk(moved[0]) - risk(moved[1])) / 2e-3 == pytest.approx(float(weights[task]), abs=1e-4)


@pytest.mark.parametrize("penalty", ["chi2", "kl"])
def test_a_price_draws_the_weights_to_the_average(penalty: str) -> None:
    distances = []
    for shift in (0.0, 1e-9, 0.3, 3.0, 1e9):
        weights = SpectralRisk("cvar", shift=shift, penalty=penalty)(LOSSES)  # pyright: ignore[reportArgumentType]
        distances.append(float((weights - 0.25).norm()))
        assert float(weights.sum()) == pytest.approx(1)
    assert distances == sorted(distances, reverse=True)
    assert distances[0] == pytest.approx(distances[1]) and distances[-1] < 1e-8


def test_equal_losses_share_and_absent_ones_are_not_ranked() -> None:
    assert SpectralRisk("top_k")(tensor([2.0, 2.0, 1.0])).tolist() == [0.5, 0.5, 0.0]
    active = tensor([True, False, True, True])
    assert SpectralRisk("top_k")(tensor([2.0, math.nan, 1.0, 3.0]), active=active).tolist() == [0, 0, 0, 1]
    assert SpectralRisk([0.0, 0.2, 0.8])(tensor([1.0, math.nan, 2.0]), active=tensor([True, False, True])).tolist() == (
        pytest.approx([0.1, 0.0, 0.9])
    )


def test_options_are_checked() -> None:
    for options, match in (
        ({"spectrum": "cvr"}, "cvar"),
        ({"level": 0.0}, "level of cvar"),
        ({"level": 1.5}, "level of cvar"),
        ({"spectrum": "extremile", "level": 0.5}, "level of extremile"),
        ({"spectrum": [2.0, 1.0]}, "ascending"),
        ({"spectrum": []}, "ascending"),
        ({"shift": -1.0}, "shift"),
        ({"penalty": "kll"}, "kl"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            SpectralRisk(**options)
