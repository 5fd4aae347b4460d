"""Trimmed task vectors that get the sum of their magnitudes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import array, close, one, siblings

from accord.merging import DARE, TIES, Breadcrumbs

BASE = one(1.0, 1.0, 1.0, 1.0)
# The task vector (1, 2, -3, 4) has the sum 10.
ONE = [one(2.0, 3.0, -2.0, 5.0)]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # What is kept, (0, 0, -3, 4), sums to 7.
        (TIES(0.5, rescale=True), [1.0, 1.0, 1 - 30 / 7, 1 + 40 / 7]),
        (TIES(1.0, rescale=True), [2.0, 3.0, -2.0, 5.0]),
        # One outlier, two kept: (0, 2, -3, 0) sums to 5; by row the tensor is one row.
        (Breadcrumbs(0.5, 0.25, scale=1.0, rescale=True), [1.0, 5.0, -5.0, 1.0]),
        (Breadcrumbs(0.5, 0.25, trim="row", scale=1.0, rescale=True), [1.0, 5.0, -5.0, 1.0]),
        (Breadcrumbs(1.0, 0.0, scale=1.0, rescale=True), [2.0, 3.0, -2.0, 5.0]),
    ],
)
def test_by_hand(method, expected):
    assert method(BASE, ONE)["w"].tolist() == pytest.approx(expected, rel=1e-6)


def trimmed(delta, density, gamma=0.0):
    top = int(gamma * delta.size)
    kept = max(1, int(density * delta.size + 1e-9))
    order = np.argsort(-np.abs(delta))
    mask = np.zeros(delta.size)
    mask[order[top : top + kept]] = 1
    return delta * mask


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    density=st.sampled_from([0.1, 0.5, 0.9]),
    gamma=st.sampled_from([0.0, 0.1]),
    spanning=st.booleans(),
)
def test_against_plain_arrays(seed, density, gamma, spanning):
    base, models = siblings(seed, 3, torch.float64, ((7, 5), (11,)), size=1.0)
    trim = "model" if spanning else "tensor"
    weights = [0.5, 1.0, 2.0]
    ties = TIES(density, trim, merge="sum", weights=weights, rescale=True)(base, models)
    crumbs = Breadcrumbs(density, gamma, trim, scale=1.0, weights=weights, rescale=True)(base, models)
    for names in [["t0", "t1"]] if spanning else [["t0"], ["t1"]]:
        deltas = [np.concatenate([array(m[n] - base[n]).ravel() for n in names]) for m in models]
        origin = np.concatenate([array(base[n]).ravel() for n in names])

        def restored(gamma, deltas=deltas):
            kept = [trimmed(delta, density, gamma) for delta in deltas]
            pairs = zip(weights, deltas, kept, strict=True)
            return [w * k * (np.abs(d).sum() / np.abs(k).sum() if np.abs(k).sum() else 1.0) for w, d, k in pairs]

        voted = restored(0.0)
        sign = np.sign(sum(voted))
        agreeing = sum(np.where(delta * sign > 0, delta, 0.0) for delta in voted)
        for result, expected in ((ties, agreeing), (crumbs, sum(restored(gamma)))):
            got = torch.cat([result[name].flatten() for name in names])
            close(got, origin + expected, torch.float64)


@pytest.mark.parametrize("method", [TIES(0.5, rescale=True), Breadcrumbs(0.5, 0.1, scale=1.0, rescale=True)], ids=repr)
def test_nothing_to_restore(method):
    base, models = siblings(0, 2)
    merged = method(base, [base, base])
    assert all(torch.equal(merged[name], base[name]) for name in base)
    assert all(torch.isfinite(tensor).all() for tensor in method(base, [models[0], base]).values())


def test_dropping_at_random_restores_the_mean_and_not_the_sum():
    base, ones = {"w": torch.zeros(10000)}, {"w": torch.ones(10000)}
    kept = DARE(0.25, seed=3)(base, [ones])["w"]
    assert kept.unique().tolist() == [0.0, 4.0]
