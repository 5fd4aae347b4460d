import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.kinds.helpers import assert_gradient, extreme, fit, start

from accord.tasks import Task


def test_starts_at_the_training_quantiles_in_their_units():
    numbers = np.arange(1.0, 101.0) * 7 + 1000
    encoder, _ = fit(Task("t", "quantile", quantiles=(0.1, 0.25, 0.5, 0.9)), numbers)
    np.testing.assert_allclose(start(encoder)[0], np.array([10, 25, 50, 90]) * 7 + 1000, rtol=1e-6)


def test_weighted_quantiles():
    encoder, _ = fit(Task("t", "quantile", quantiles=(0.5,)), [0.0, 1.0, 5.0], weights=[1.0, 1.0, 8.0])
    assert start(encoder)[0, 0] == pytest.approx(5.0)


def test_pinball_by_hand():
    encoder, _ = fit(Task("t", "quantile", quantiles=(0.25,)), [-1.0, 1.0])
    at = float(encoder.predict(torch.zeros(1, 1, dtype=torch.float64)))  # mean 0, deviation 1: units are standard
    losses = encoder.row_loss(torch.zeros(2, 1, dtype=torch.float64), torch.tensor([at + 2.0, at - 2.0]))
    np.testing.assert_allclose(losses, [0.25 * 2, 0.75 * 2], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=5, max_size=5))
def test_quantiles_never_cross(outputs):
    encoder, _ = fit(Task("t", "quantile", quantiles=(0.05, 0.25, 0.5, 0.75, 0.95)), [1.0, 2.0, 2.0, 2.0, 9.0])
    quantiles = encoder.predict(torch.tensor([outputs]))[0]
    assert (quantiles.diff() >= 0).all()


def test_extremes_and_gradient():
    encoder, target = fit(Task("t", "quantile"), [1.0, 2.0, 4.0, 9.0])
    assert_gradient(encoder, target.values)
    outputs = extreme(3).requires_grad_()
    losses = encoder.row_loss(outputs, torch.zeros(len(outputs)))
    (slope,) = torch.autograd.grad(losses.sum(), outputs)
    assert torch.isfinite(losses).all() and torch.isfinite(slope).all()


def test_training_finds_the_quantiles():
    numbers = np.random.default_rng(0).gamma(2.0, 3.0, 4000)
    encoder, target = fit(Task("t", "quantile", quantiles=(0.2, 0.5, 0.8)), numbers)
    outputs = torch.tensor([3.0, -2.0, 2.0], requires_grad=True)
    optimiser = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        encoder.row_loss(outputs.expand(len(numbers), 3), target.values).mean().backward()
        optimiser.step()
    predictions = encoder.predict(outputs.detach().expand(len(numbers), 3)).numpy()
    shares = (numbers[:, None] <= predictions).mean(0)
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.8], atol=0.02)
    assert encoder.evaluate(predictions, target)["coverage_error"] < 0.02
