"""Means on spheres: ends, middles, and the condition that defines them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import array, close, one, siblings

from accord.errors import ConfigurationError
from accord.merging import SLERP, KarcherMean, MultiSLERP

AXES = [one(1.0, 0.0, 0.0), one(0.0, 2.0, 0.0), one(0.0, 0.0, 3.0)]


@pytest.mark.parametrize("method", [KarcherMean(), MultiSLERP()], ids=repr)
def test_three_axes_by_hand(method):
    # By symmetry the mean direction is (1, 1, 1) / sqrt 3; the mean length is 2.
    merged = method(None, AXES)["w"]
    assert merged.tolist() == pytest.approx([2 / math.sqrt(3)] * 3)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("kind", [KarcherMean, MultiSLERP])
def test_two_directions_are_slerp(kind, t):
    _, models = siblings(0, 2, shapes=((5, 4), (9,)), size=1.0)
    models = [{name: tensor / tensor.norm() for name, tensor in model.items()} for model in models]
    merged, expected = kind([1 - t, t])(None, models), SLERP(t)(None, models)
    assert all(torch.allclose(merged[name], expected[name], atol=1e-6) for name in expected)


def test_the_projection_of_mergekit_is_the_normalised_mean():
    merged = MultiSLERP([0.25, 0.75], "projection")(None, [one(1.0, 0.0), one(0.0, 1.0)])["w"]
    assert merged.tolist() == pytest.approx([0.25 / math.hypot(0.25, 0.75), 0.75 / math.hypot(0.25, 0.75)])


@pytest.mark.parametrize("tangent", ["logarithm", "projection"])
def test_without_normalisation_only_the_length_is_another(tangent):
    weights, models = [0.25, 0.5, 2.0], [one(1.0, 0.5), one(0.0, 2.0), one(-1.0, 3.0)]
    mean = MultiSLERP(weights, tangent)(None, models)["w"]
    longer = MultiSLERP(weights, tangent, normalise=False)(None, models)["w"]
    assert longer.tolist() == pytest.approx((2.75 * mean).tolist())
    if tangent == "projection":
        # The direction of the weighted sum of directions, as long as the weighted sum of lengths.
        vectors = [array(model["w"]) for model in models]
        lengths = [np.linalg.norm(vector) for vector in vectors]
        total = sum(w * v / n for w, v, n in zip(weights, vectors, lengths, strict=True))
        expected = total / np.linalg.norm(total) * np.dot(weights, lengths)
        assert longer.tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_with_a_base_task_vectors_are_turned():
    base = one(5.0, 5.0, 5.0)
    models = [{"w": base["w"] + axis["w"]} for axis in AXES]
    assert MultiSLERP()(base, models)["w"].tolist() == pytest.approx([5 + 2 / math.sqrt(3)] * 3)


def karcher_condition(units, weights, direction):
    """The weighted mean of the logarithms at a point, which is 0 at the Karcher mean."""
    total = np.zeros_like(direction)
    for unit, weight in zip(units, weights, strict=True):
        angle = math.acos(np.clip(unit @ direction, -1, 1))
        if angle > 1e-9:
            total += weight * angle / math.sin(angle) * (unit - (unit @ direction) * direction)
    return total


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 6),
    size=st.sampled_from([0.01, 0.3, 1.0]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_the_karcher_mean_meets_its_condition(seed, models, size, dtype):
    _, moved = siblings(seed, models, dtype, ((6, 4),), size)
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, models)
    merged = array(KarcherMean(weights.tolist())(None, moved)["t0"]).ravel()
    vectors = [array(model["t0"]).ravel() for model in moved]
    lengths = [np.linalg.norm(vector) for vector in vectors]
    share = weights / weights.sum()
    assert np.linalg.norm(merged) == pytest.approx(float(share @ lengths), rel=1e-6)
    units = [vector / length for vector, length in zip(vectors, lengths, strict=True)]
    assert np.linalg.norm(karcher_condition(units, share, merged / np.linalg.norm(merged))) < 2e-6


def test_one_step_from_the_mean_against_arrays():
    _, models = siblings(3, 4, torch.float64, ((7, 3),), 1.0)
    vectors = [array(model["t0"]).ravel() for model in models]
    units = [vector / np.linalg.norm(vector) for vector in vectors]
    mean = sum(units) / np.linalg.norm(sum(units))
    step = karcher_condition(units, [0.25] * 4, mean)
    turned = np.cos(np.linalg.norm(step)) * mean + np.sin(np.linalg.norm(step)) / np.linalg.norm(step) * step
    expected = turned * np.mean([np.linalg.norm(vector) for vector in vectors])
    close(MultiSLERP()(None, models)["t0"].view(-1), expected, torch.float64)


@pytest.mark.parametrize("method", [KarcherMean(), MultiSLERP(), MultiSLERP(tangent="projection")], ids=repr)
def test_degenerate_directions(method):
    same = [one(1.0, 2.0), one(1.0, 2.0), one(1.0, 2.0)]
    assert method(None, same)["w"].tolist() == pytest.approx([1.0, 2.0])
    opposed = [one(1.0, 2.0), one(-1.0, -2.0)]
    assert method(None, opposed)["w"].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    nothing = [one(0.0, 0.0), one(0.0, 0.0)]
    assert method(None, nothing)["w"].tolist() == [0.0, 0.0]
    # Zeros have no direction; the mean of the lengths 0 and 5 is left in the direction of the other.
    assert method(None, [one(0.0, 0.0), one(3.0, 4.0)])["w"].tolist() == pytest.approx([1.5, 2.0])
    alone = one(0.1, 0.7)
    assert torch.equal(method(None, [alone])["w"], alone["w"])


def test_weights_that_sum_to_0_are_refused():
    with pytest.raises(ConfigurationError, match="sum to 0"):
        KarcherMean([1.0, -1.0])(None, AXES[:2])
    with pytest.raises(ConfigurationError, match="tangent is"):
        MultiSLERP(tangent="none")
