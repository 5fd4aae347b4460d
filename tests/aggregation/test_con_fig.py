"""ConFIG against the pseudo-inverse that its paper writes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from accord.aggregation import ConFIG


@given(some.integers(0, 2**31), some.integers(1, 10), some.booleans())
@settings(max_examples=50, deadline=None)
def test_it_is_the_papers_pseudo_inverse(seed: int, tasks: int, even: bool) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((tasks, 3 * tasks)) * 10.0 ** rng.uniform(-3, 3, (tasks, 1))
    preference = np.ones(tasks) if even else rng.uniform(0.2, 1.0, tasks)
    units = jacobian / np.linalg.norm(jacobian, axis=1, keepdims=True)
    towards = np.linalg.pinv(units) @ preference
    towards /= np.linalg.norm(towards)
    wanted = (jacobian @ towards).mean() * towards
    found = ConFIG(preference=preference.tolist())(torch.from_numpy(jacobian)).numpy()
    assert np.linalg.norm(found - wanted) < 1e-6 * np.linalg.norm(wanted)
    cosines = units @ found / np.linalg.norm(found)
    assert cosines / preference == pytest.approx(np.full(tasks, (cosines / preference).mean()), abs=1e-6)


def test_by_hand() -> None:
    # Lengths 1 and 2 at right angles, u = (1, 1) / sqrt(2), projections 1 and 2 over sqrt(2), their mean along u.
    assert ConFIG()(torch.tensor([[1.0, 0.0], [0.0, 2.0]])).tolist() == pytest.approx([0.75, 0.75])
    # A third task without gradient: two projections, over three.
    assert ConFIG()(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])).tolist() == pytest.approx([0.5, 0.5])


def test_it_rests_between_opposed_gradients() -> None:
    assert not ConFIG()(torch.tensor([[1.0, 2.0], [-3.0, -6.0]])).any()
