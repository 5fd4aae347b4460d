"""Krum on vectors, under attack, and its options."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from accord.aggregation import Krum
from accord.errors import ConfigurationError
from accord.testing import check_aggregator


# With fewer than six tasks a single neighbour can be left to compare with, and two nearest ones tie.
@given(some.integers(0, 2**31), some.integers(6, 12), some.integers(0, 2), some.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_it_averages_the_rows_of_least_score(seed: int, tasks: int, byzantine: int, selected: int) -> None:
    jacobian = np.random.default_rng(seed).standard_normal((tasks, 8))
    gaps = ((jacobian[:, None] - jacobian) ** 2).sum(axis=2)
    # Position 0 of each sorted row is the gradient itself.
    scores = [np.sort(row)[1 : tasks - byzantine - 1].sum() for row in gaps]
    wanted = jacobian[np.argsort(scores)[:selected]].mean(axis=0)
    found = Krum(byzantine, selected)(torch.from_numpy(jacobian)).tolist()
    assert found == pytest.approx(wanted.tolist(), abs=1e-9)


def test_liars_do_not_lead_the_step_away() -> None:
    rng = np.random.default_rng(0)
    honest = np.ones(6) + 0.1 * rng.standard_normal((5, 6))
    for lie in (-1e6 * np.ones(6), 1e3 * rng.standard_normal(6), np.full(6, -5.0)):
        jacobian = torch.from_numpy(np.vstack([np.tile(lie, (2, 1)), honest]))
        for selected in (1, 3):
            assert np.linalg.norm(Krum(2, selected)(jacobian).numpy() - 1) < 0.5
        assert np.linalg.norm(jacobian.mean(dim=0).numpy() - 1) > 1


def test_several_selected_keep_the_contract() -> None:
    check_aggregator(lambda: Krum(byzantine=0, selected=3), ("unanimous", "within_scale", "convex"), examples=5)


def test_with_few_tasks_one_neighbour_is_compared_with_at_least() -> None:
    assert Krum(byzantine=1)(torch.tensor([[0.0], [10.0], [10.5]])).tolist() == [10.0]
    assert Krum(byzantine=5, selected=2)(torch.tensor([[0.0], [10.0], [10.5]])).tolist() == [10.25]
    assert Krum(byzantine=1, selected=9)(torch.tensor([[2.0], [4.0]])).tolist() == [3.0]


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="byzantine"):
        Krum(byzantine=-1)
    with pytest.raises(ConfigurationError, match="selected"):
        Krum(selected=0)
