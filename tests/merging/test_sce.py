"""SCE by hand and against arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import array, close, one, siblings

from accord.errors import ConfigurationError
from accord.merging import SCE

BASE = one(1.0, 1.0, 1.0, 1.0)


def test_by_hand():
    # task vectors (3, 1, 1, 0), (-1, 1, 1, 0), (1, 1, -5, 0); variances 8/3, 0, 8, 0; half are the first and the third
    models = [one(4.0, 2.0, 2.0, 1.0), one(0.0, 2.0, 2.0, 1.0), one(2.0, 2.0, -4.0, 1.0)]
    # squares 10, 2 and 26; the first sums to 3, the third to -3
    expected = [1 + (10 * 3 + 26 * 1) / 36, 1.0, 1 - 5, 1.0]
    assert SCE(0.5)(BASE, models)["w"].tolist() == pytest.approx(expected)
    # all selected: squares 11, 3 and 27
    expected = [1 + (11 * 3 + 27 * 1) / 38, 2.0, -4.0, 1.0]
    assert SCE(1.0)(BASE, models)["w"].tolist() == pytest.approx(expected)


def test_one_model_comes_back():
    base, (model,) = siblings(0, 1, torch.bfloat16)
    assert all(torch.equal(tensor, model[name]) for name, tensor in SCE(1.0)(base, [model]).items())


def test_signs_that_cancel_leave_the_base():
    assert SCE(1.0)(one(1.0), [one(3.0), one(-1.0)])["w"].item() == 1.0


def oracle(base, models, density):
    deltas = np.stack([model - base for model in models])
    spread = deltas.var(axis=0)
    kept = max(1, int(density * spread.size + 1e-9))
    least = np.sort(spread.ravel())[spread.size - kept] if density < 1 else -1.0
    deltas = np.where(spread >= least, deltas, 0.0)
    share = (deltas**2).sum(axis=tuple(range(1, deltas.ndim)))
    share = share / share.sum() if share.sum() else np.full(len(models), 1 / len(models))
    share = share.reshape(-1, *[1] * base.ndim)
    agrees = np.sign(deltas) * np.sign(deltas.sum(0)) > 0
    weight = (share * agrees).sum(0)
    return base + (share * agrees * deltas).sum(0) / np.where(weight > 0, weight, 1.0)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 5),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    shape=st.sampled_from([(1,), (9,), (4, 6), (2, 3, 2)]),
    density=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_against_arrays(seed, models, dtype, shape, density):
    base, moved = siblings(seed, models, dtype, (shape,))
    origin, vectors = array(base["t0"]), [array(model["t0"]) for model in moved]
    close(SCE(density)(base, moved)["t0"], oracle(origin, vectors, density), dtype, slack=16.0)


def test_a_density_of_0_is_refused():
    with pytest.raises(ConfigurationError, match="above 0"):
        SCE(0.0)
