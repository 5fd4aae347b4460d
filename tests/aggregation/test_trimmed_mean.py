"""The trimmed mean against SciPy's, and its ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import trim_mean

from accord.aggregation import TrimmedMean
from accord.errors import ConfigurationError


@pytest.mark.parametrize(("tasks", "trim"), [(3, 1), (5, 1), (5, 2), (8, 3)])
def test_it_is_the_trimmed_mean_of_each_coordinate(tasks: int, trim: int) -> None:
    rows = np.random.default_rng(tasks).standard_normal((tasks, 30))
    wanted = trim_mean(rows, (trim + 1e-9) / tasks, axis=0)
    assert TrimmedMean(trim)(torch.from_numpy(rows)).tolist() == pytest.approx(wanted.tolist())


def test_by_hand_and_what_too_few_tasks_leave() -> None:
    rows = torch.tensor([[1.0, 9.0], [2.0, -7.0], [30.0, 1.0], [4.0, 3.0]])
    assert TrimmedMean()(rows).tolist() == [3.0, 2.0]
    assert TrimmedMean(5)(rows).tolist() == [3.0, 2.0]
    assert TrimmedMean(5)(rows[:3]).tolist() == [2.0, 1.0]  # the median
    assert TrimmedMean()(rows[:2]).tolist() == [1.5, 1.0]
    assert TrimmedMean(0)(rows).tolist() == [9.25, 1.5]


def test_trim_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="trim"):
        TrimmedMean(-1)
