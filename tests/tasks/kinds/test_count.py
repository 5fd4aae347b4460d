import numpy as np
import pytest
import torch
from scipy import stats
from tests.tasks.kinds.helpers import assert_gradient, extreme, fit, make, start

from accord.errors import DataError
from accord.tasks import Task

POISSON, NEGATIVE = Task("t", "count"), Task("t", "count", loss="negative_binomial")


def test_poisson_loss_is_the_likelihood_less_its_best():
    # Variance below the mean, so the loss is not scaled: an independent likelihood must agree.
    encoder, _ = fit(POISSON, [3.0, 4.0, 5.0])
    outputs = torch.tensor([[0.3], [-0.2], [0.0]], dtype=torch.float64)
    counts = np.array([0, 2, 7])
    rates = 4.0 * np.exp(outputs[:, 0].numpy())
    best = np.where(counts > 0, stats.poisson.logpmf(counts, np.maximum(counts, 1e-300)), 0.0)
    expected = best - stats.poisson.logpmf(counts, rates)
    np.testing.assert_allclose(encoder.row_loss(outputs, torch.from_numpy(counts).float()), expected, rtol=1e-6)
    np.testing.assert_allclose(encoder.predict(outputs), rates)


def test_overdispersed_counts_are_scaled_and_noted():
    encoder, target = fit(POISSON, [0.0, 0.0, 0.0, 40.0])
    assert encoder.dispersion == pytest.approx(30.0) and "30.0 times" in encoder.notes[0]
    losses = encoder.row_loss(torch.zeros(4, 1), target.values)
    np.testing.assert_allclose(losses[0], 10.0 / 30.0, rtol=1e-6)


def test_negative_binomial_loss_is_the_likelihood():
    encoder, _ = fit(NEGATIVE, [0.0, 1.0, 2.0, 9.0])
    outputs = torch.tensor([[0.3, 0.5], [-0.2, -1.0], [0.0, 0.0]], dtype=torch.float64)
    counts = np.array([0, 3, 11])
    usual = min(max((encoder.dispersion - 1) / encoder.mean, 0.05), 10.0)
    alpha = np.log1p(np.exp(outputs[:, 1].numpy()) * np.expm1(usual)) + 1e-4
    rate = encoder.mean * np.exp(outputs[:, 0].numpy())
    expected = -stats.nbinom.logpmf(counts, 1 / alpha, 1 / (1 + alpha * rate))
    np.testing.assert_allclose(encoder.row_loss(outputs, torch.from_numpy(counts).double()), expected, rtol=1e-9)


@pytest.mark.parametrize("task", [POISSON, NEGATIVE])
def test_extremes_start_and_gradient(task):
    encoder, target = fit(task, [0.0, 1.0, 2.0, 9.0])
    assert start(encoder)[0] == pytest.approx(3.0)
    assert_gradient(encoder, target.values)
    outputs = extreme(encoder.width).requires_grad_()
    for count in (0.0, 5.0, 1e6):
        losses = encoder.row_loss(outputs, torch.full((len(outputs),), count))
        (slope,) = torch.autograd.grad(losses.sum(), outputs)
        assert torch.isfinite(losses).all() and torch.isfinite(slope).all()
        assert (losses >= -1e-4 * losses.abs().clamp(min=1.0)).all()


def test_the_rate_goes_on_rising_past_the_steep_part():
    encoder, _ = fit(POISSON, [0.0, 1.0, 2.0])
    rates = encoder.predict(torch.tensor([[19.0], [20.0], [21.0], [1e6]]))
    assert (rates.diff() > 0).all() and float(rates[2]) == pytest.approx(2 * float(rates[1]))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([1.0, -2.0, 3.0], r"1 counts are negative \(-2 in row 1\)"),
        ([1.0, 2.5], r"1 counts are not whole \(2.5 in row 1\)"),
        ([0.0, 0.0], "every training label is 0"),
        ([np.nan], "missing"),
        ([1.0, np.inf], "infinite"),
    ],
)
def test_labels_that_cannot_be_learned(numbers, message):
    with pytest.raises(DataError, match=message):
        fit(POISSON, numbers)


def test_bad_counts_are_found_in_evaluation_rows_too():
    encoder, _ = fit(POISSON, [1.0, 2.0])
    with pytest.raises(DataError, match="negative"):
        encoder.encode(make([-1.0]))
