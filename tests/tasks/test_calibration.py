import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import ConfigurationError
from accord.tasks import Labels, TargetEncoder, Task, reliability, reliability_curve


def test_by_hand():
    predicted = np.array([0.1, 0.1, 0.4, 0.8])
    happened = np.array([0, 1, 0, 1])
    curve = reliability_curve(predicted, happened, bins=2, scheme="width", label="yes")
    assert curve.count.tolist() == [3, 1] and curve.label == "yes"
    np.testing.assert_allclose(curve.confidence, [0.2, 0.8])
    np.testing.assert_allclose(curve.frequency, [1 / 3, 1.0])
    assert curve.ece == pytest.approx(0.75 * (1 / 3 - 0.2) + 0.25 * 0.2)


def test_equal_mass_keeps_equal_probabilities_together():
    curve = reliability_curve(np.array([0.01] * 6 + [0.2, 0.3, 0.5, 0.9]), np.zeros(10), bins=5)
    np.testing.assert_allclose(curve.count, [6, 2, 2])
    np.testing.assert_allclose(curve.confidence, [0.01, 0.25, 0.7])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mass", "width"]), st.integers(1, 20), st.integers(1, 60))
def test_bins_partition_the_rows(seed, scheme, bins, rows):
    rng = np.random.default_rng(seed)
    predicted = rng.choice([0.0, 1.0, 0.5, *rng.random(5)], rows)
    happened, weights = rng.integers(0, 2, rows), rng.integers(0, 3, rows) + 0.5
    curve = reliability_curve(predicted, happened, weights, bins=bins, scheme=scheme)
    assert len(curve.count) <= bins and curve.count.sum() == pytest.approx(weights.sum())
    assert curve.count @ curve.confidence == pytest.approx(weights @ predicted)
    assert curve.count @ curve.frequency == pytest.approx(weights @ happened)
    assert 0.0 <= curve.ece <= 1.0 and (np.diff(curve.confidence) > 0).all()
    # Counting a row twice is giving it weight two.
    doubled = reliability_curve(np.repeat(predicted, 2), np.repeat(happened, 2), bins=bins, scheme=scheme)
    assert doubled.ece == pytest.approx(reliability_curve(predicted, happened, bins=bins, scheme=scheme).ece)


def test_one_curve_per_class_over_observed_rows():
    labels = Labels(codes=np.array([0, 1, -1, 2], np.int32), categories=("a", "b", "c"))
    encoder = TargetEncoder.fit(Task("t", "multiclass"), labels)
    predictions = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]], float)
    curves = reliability(encoder, predictions, encoder.encode(labels))
    assert [curve.label for curve in curves] == ["a", "b", "c"]
    assert [curve.count.sum() for curve in curves] == [3, 3, 3]
    assert [curve.ece for curve in curves] == pytest.approx([1 / 3, 1 / 3, 0])


def test_kinds_without_probabilities_have_none():
    labels = Labels(numbers=np.array([1.0, 2.0]))
    encoder = TargetEncoder.fit(Task("t", "regression"), labels)
    assert reliability(encoder, np.array([1.0, 2.0]), encoder.encode(labels)) == []


def test_no_rows_and_unknown_scheme():
    assert np.isnan(reliability_curve(np.zeros(0), np.zeros(0)).ece)
    with pytest.raises(ConfigurationError, match="Did you mean 'mass'"):
        reliability_curve(np.zeros(1), np.zeros(1), scheme="mas")
