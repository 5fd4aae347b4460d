import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.kinds.helpers import assert_gradient, extreme, fit, make, start

from accord.errors import DataError
from accord.tasks import Task


def test_order_of_classes():
    encoder, target = fit(Task("t", "ordinal"), names=["10", "9", "2"])
    assert encoder.classes == ("2", "9", "10") and target.values.tolist() == [2, 1, 0]
    encoder, target = fit(Task("t", "ordinal", classes=["low", "mid", "high"]), names=["high", "low", None])
    assert encoder.width == 2 and target.values.tolist() == [2, 0, 0]
    with pytest.raises(DataError, match="classes=, lowest first"):
        fit(Task("t", "ordinal"), names=["high", "low"])
    with pytest.raises(DataError, match="class 'medium'"):
        encoder.encode(make(names=["medium"]))


def test_starts_at_the_training_frequencies():
    encoder, _ = fit(Task("t", "ordinal"), [0, 0, 0, 0, 1, 1, 2, 3])
    np.testing.assert_allclose(start(encoder)[0], [0.5, 0.25, 0.125, 0.125], atol=1e-6)


def test_cumulative_logits_by_hand():
    # Frequencies 1/4, 1/2, 1/4: log odds of P(y > 0) are log 3; a first output of 1 moves both thresholds by 1.
    encoder, target = fit(Task("t", "ordinal"), [0, 1, 1, 2])
    outputs = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    above = [1 / (1 + math.exp(-(math.log(3.0) + 1))), 1 / (1 + math.exp(-(-math.log(3.0) + 1)))]
    expected = [1 - above[0], above[0] - above[1], above[1]]
    np.testing.assert_allclose(encoder.predict(outputs)[0], expected, rtol=1e-9)
    losses = encoder.row_loss(outputs.expand(4, 2), target.values)
    np.testing.assert_allclose(losses, -np.log(expected)[[0, 1, 1, 2]], rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=4, max_size=4))
def test_probabilities_are_a_distribution_whatever_the_outputs(outputs):
    encoder, _ = fit(Task("t", "ordinal"), [0, 1, 1, 2, 3, 4, 4])
    probabilities = encoder.predict(torch.tensor([outputs])).numpy()[0]
    assert (probabilities >= 0).all() and probabilities.sum() == pytest.approx(1.0)
    raw = encoder._log_probabilities(torch.tensor([outputs], dtype=torch.float64)).exp().sum()
    assert float(raw) == pytest.approx(1.0, abs=1e-9)  # before predict normalises


def test_a_larger_first_output_means_a_higher_class():
    encoder, _ = fit(Task("t", "ordinal"), [0, 1, 1, 2, 3])
    outputs = torch.zeros(50, 3)
    outputs[:, 0] = torch.linspace(-8, 8, 50)
    cumulative = encoder.predict(outputs).cumsum(1)[:, :-1]
    assert (cumulative.diff(dim=0) < 0).all()


def test_extremes_and_gradient():
    encoder, target = fit(Task("t", "ordinal", class_weights="balanced"), [0, 1, 1, 2, 3])
    assert_gradient(encoder, target.values)
    outputs = extreme(3).requires_grad_()
    for value in range(4):
        losses = encoder.row_loss(outputs, torch.full((len(outputs),), value))
        (slope,) = torch.autograd.grad(losses.sum(), outputs)
        assert torch.isfinite(losses).all() and torch.isfinite(slope).all()
    assert torch.isfinite(encoder.predict(outputs)).all()


def test_class_weights_keep_probabilities():
    encoder, target = fit(Task("t", "ordinal", class_weights="balanced"), [0, 0, 0, 0, 1, 1, 2, 2])
    outputs = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([outputs], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = encoder.row_loss(outputs.expand(8, 2), target.values).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    np.testing.assert_allclose(encoder.predict(outputs.detach()[None])[0], [0.5, 0.25, 0.25], atol=1e-4)
    np.testing.assert_allclose(start(encoder)[0], [0.5, 0.25, 0.25], atol=1e-6)


def test_decision_is_the_median():
    encoder, _ = fit(Task("t", "ordinal"), [0, 1, 2])
    # The most probable class is 0, but half of the probability is reached at 1.
    assert encoder.decide(np.array([[0.4, 0.3, 0.3]])).tolist() == ["1"]
