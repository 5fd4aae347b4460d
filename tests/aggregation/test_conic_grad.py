"""ConicGrad against a general solver, and where its cone ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import tensor

from accord.aggregation import ConicGrad
from accord.errors import ConfigurationError

RIGHT = tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)


def test_by_hand() -> None:
    # The lesser of d_1 and 2 d_2 is best where they are equal: (2, 1), at cosine 4/5 to (1/2, 1), and as long as that.
    assert ConicGrad(0.5)(RIGHT).tolist() == pytest.approx([1.0, 0.5])
    assert ConicGrad(0.79)(RIGHT).tolist() == pytest.approx([1.0, 0.5])
    # Out of reach at 9/10: then it is on the edge of the cone, towards the first gradient.
    angle, length = math.atan2(1.0, 0.5) - math.acos(0.9), math.sqrt(1.25)
    assert ConicGrad(0.9)(RIGHT).tolist() == pytest.approx([length * math.cos(angle), length * math.sin(angle)])
    # Weights 4/5 and 1/5: (4/5, 2/5) is along (2, 1) itself.
    assert ConicGrad(0.99, preference=[4, 1])(RIGHT).tolist() == pytest.approx([0.8, 0.4])
    assert ConicGrad(1 - 1e-12)(RIGHT).tolist() == pytest.approx([0.5, 1.0], abs=1e-5)


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
def test_no_direction_in_the_cone_does_better(c: float) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        tasks = int(rng.integers(2, 6))
        jacobian = rng.standard_normal((tasks, 6)) * 10.0 ** rng.uniform(-1, 1, (tasks, 1))
        middle = jacobian.mean(axis=0)
        length = np.linalg.norm(middle)
        direction = ConicGrad(c)(torch.from_numpy(jacobian)).numpy() / length
        assert np.linalg.norm(direction) == pytest.approx(1.0)
        assert direction @ middle >= c * length * (1 - 1e-9)
        # In units of its length the mean gradient is as long as the direction, and the cone's hull is convex.
        oracle = minimize(
            lambda v: -v[-1],
            np.append(middle / length, (jacobian @ middle).min() / length),
            constraints=[
                {"type": "ineq", "fun": lambda v, j=jacobian: j @ v[:-1] - v[-1]},
                {"type": "ineq", "fun": lambda v: 1.0 - v[:-1] @ v[:-1]},
                {"type": "ineq", "fun": lambda v, m=middle / length: m @ v[:-1] - c},
            ],
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-13},
        )
        assert (jacobian @ direction).min() >= -oracle.fun - 1e-6


def test_twelve_decades() -> None:
    for ratio in 10.0 ** -np.arange(0.0, 13.0, 3.0):
        for absolute in (1e-20, 1.0, 1e20):
            jacobian = absolute * np.array([[1.0, 0.0], [-0.6 * ratio, 0.8 * ratio]])
            direction = ConicGrad(0.5)(torch.from_numpy(jacobian)).numpy()
            middle = jacobian.mean(axis=0)
            assert np.linalg.norm(direction) == pytest.approx(np.linalg.norm(middle))
            # Neither loses, and the small one gains as much as the cone lets it: all it can give, at cosine 1/2.
            assert (jacobian @ direction > 0).all()
            if ratio < 1e-2:
                assert direction @ middle / (middle @ middle) == pytest.approx(0.6, abs=0.11)


def test_gradients_in_balance() -> None:
    # The first two hold each other; of what harms neither, the third's direction is what is left.
    rows = tensor([[1.0, 0.0], [-0.5, 0.0], [0.0, 1.0]], dtype=torch.float64)
    direction = ConicGrad(0.2)(rows)
    assert direction.tolist() == pytest.approx([0.0, float(rows.mean(dim=0).norm())], abs=1e-6)
    # On one line, the mean itself.
    assert ConicGrad()(tensor([[1.0, 0.0], [-0.5, 0.0]])).tolist() == pytest.approx([0.25, 0.0])
    assert not ConicGrad()(tensor([[1.0, 2.0], [-1.0, -2.0]])).any()


@pytest.mark.parametrize("seed", range(40))
def test_a_mean_that_is_only_rounding_has_no_direction(seed: int) -> None:
    row = np.random.default_rng(seed).standard_normal(6)
    direction = ConicGrad()(torch.from_numpy(np.stack([row, -row, row, -row])))
    assert direction.abs().max() <= 1e-12


def test_a_zero_gradient_leaves_it_to_the_others() -> None:
    with_zero = ConicGrad(0.5)(torch.cat([RIGHT, torch.zeros(1, 2, dtype=torch.float64)]))
    assert with_zero.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_c_is_checked() -> None:
    for wrong in (0.0, 1.0, -0.5, math.nan):
        with pytest.raises(ConfigurationError, match="c must lie"):
            ConicGrad(wrong)
