import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from accord.tasks.focal import focal_logit, focal_loss


def test_loss_by_hand():
    logits = torch.tensor([np.log(3.0), np.log(3.0)])
    losses = focal_loss(logits, torch.tensor([1.0, 0.0]), 2.0)
    np.testing.assert_allclose(losses, [0.25**2 * np.log(4 / 3), 0.75**2 * np.log(4.0)], rtol=1e-6)


def test_gamma_zero_is_the_log_loss():
    logits = torch.linspace(-30, 30, 61, dtype=torch.float64)
    assert torch.allclose(focal_logit(logits, 0.0), logits)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.ones(61).double(), reduction="none")
    assert torch.allclose(focal_loss(logits, torch.ones(61), 0.0), expected)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0.0, 5.0))
def test_the_minimiser_of_the_risk_is_read_as_the_true_probability(probability, gamma):
    def risk(z):
        loss = focal_loss(torch.tensor([z, z], dtype=torch.float64), torch.tensor([1.0, 0.0]), gamma)
        return float(probability * loss[0] + (1 - probability) * loss[1])

    # Brent's method on the definition of the risk knows nothing of the derivation.
    best = minimize_scalar(risk, bounds=(-20, 20), method="bounded", options={"xatol": 1e-10}).x
    read = torch.sigmoid(focal_logit(torch.tensor(best, dtype=torch.float64), gamma))
    assert float(read) == pytest.approx(probability, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 10.0))
def test_reading_is_increasing_odd_and_finite(gamma):
    logits = torch.linspace(-80, 80, 321, dtype=torch.float64)
    read = focal_logit(logits, gamma)
    assert torch.isfinite(read).all() and (read.diff() > 0).all()
    assert torch.allclose(read, -read.flip(0), atol=1e-9)
