import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.kinds.helpers import assert_gradient, fit, start

from accord.errors import DataError
from accord.tasks import Task


def test_standardised_by_hand():
    encoder, target = fit(Task("t", "regression"), [1.0, 3.0, np.nan])
    assert (encoder.mean, encoder.scale) == (2.0, 1.0)
    assert target.values.tolist() == [-1.0, 1.0, 0.0] and target.observed.tolist() == [True, True, False]
    assert encoder.predict(torch.tensor([[0.5]])).tolist() == [2.5]
    assert start(encoder).tolist() == [2.0]


def test_weighted_mean_and_scale():
    encoder, _ = fit(Task("t", "regression"), [0.0, 4.0], weights=[3.0, 1.0])
    assert encoder.mean == pytest.approx(1.0) and encoder.scale == pytest.approx(np.sqrt(3.0))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "mse"}, [0.25, 9.0]),
        ({"loss": "mae"}, [0.5, 3.0]),
        ({"loss": "huber"}, [0.125, 2.5]),
        ({"loss": "huber", "loss_params": {"delta": 2.0}}, [0.125, 4.0]),
    ],
)
def test_losses_by_hand(options, expected):
    encoder, _ = fit(Task("t", "regression", **options), [1.0, 3.0])
    losses = encoder.row_loss(torch.tensor([[0.5], [3.0]]), torch.zeros(2))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert_gradient(encoder, torch.tensor([0.3, -0.2]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=20).filter(lambda v: np.ptp(v) > 1e-3),
    st.floats(1e-150, 1e150),
    st.floats(-1e6, 1e6),
)
def test_truth_comes_back_in_its_own_units(numbers, unit, shift):
    numbers = (np.array(numbers) + shift) * unit
    encoder, target = fit(Task("t", "regression"), numbers)
    assert torch.isfinite(target.values).all()
    np.testing.assert_allclose(encoder.truth(target.values), numbers, atol=1e-5 * encoder.scale, rtol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([2.5, 2.5, np.nan], "every training label is 2.5"),
        ([np.nan], "all 1 labels are missing"),
        ([1.0, np.inf], "1 labels are infinite"),
        ([[1.0, 2.0]], "one label column, not 2"),
    ],
)
def test_labels_that_cannot_be_learned(numbers, message):
    with pytest.raises(DataError, match=message):
        fit(Task("t", "regression"), numbers)
