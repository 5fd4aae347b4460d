"""The nearest point of the simplex, against a general solver and the condition that makes it nearest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import brentq

from accord.linalg import nearest_on_simplex


def test_by_hand() -> None:
    assert nearest_on_simplex(np.array([0.2, 0.8])).tolist() == pytest.approx([0.2, 0.8])
    # Down by 1/2 each: (1/2, 1/2, -3/2), of which the last is cut.
    assert nearest_on_simplex(np.array([1.0, 1.0, -1.0])).tolist() == [0.5, 0.5, 0.0]
    assert nearest_on_simplex(np.array([7.0, 0.0])).tolist() == [1.0, 0.0]
    assert nearest_on_simplex(np.array([-3.0])).tolist() == [1.0]


@given(some.integers(0, 2**31), some.integers(1, 40), some.sampled_from([1e-20, 1e-3, 1.0, 1e3, 1e20]))
@settings(max_examples=80, deadline=None)
def test_it_is_what_a_root_finder_says(seed: int, size: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    point = rng.standard_normal(size).round(int(rng.integers(0, 4))) * scale
    found = nearest_on_simplex(point)
    assert found.min() >= 0 and found.sum() == pytest.approx(1.0)
    centred = point - point.max()
    level = brentq(lambda t: np.maximum(centred - t, 0).sum() - 1.0, -1.5, 0.0, xtol=1e-15)
    assert found == pytest.approx(np.maximum(centred - level, 0.0), abs=1e-12)
