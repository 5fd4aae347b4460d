"""DB-MTL: equal lengths, remembered gradients, and its step on logarithms of losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import tensor

import accord
from accord.aggregation import DBMTL
from accord.errors import ConfigurationError


def test_the_first_step_by_hand() -> None:
    # (1, 0) is brought to the length of (0, 4); their mean.
    assert DBMTL()(tensor([[1.0, 0.0], [0.0, 4.0]])).tolist() == [2.0, 2.0]
    assert DBMTL()(tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 0.0]])).tolist() == pytest.approx([4 / 3, 4 / 3])


def test_the_average_forgets_as_the_paper_says() -> None:
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((5, 3, 7))
    aggregator = DBMTL(beta=0.8, sigma=0.5)
    remembered = steps[0]
    for number, rows in enumerate(steps, start=1):
        if number > 1:
            kept = 0.8 / number**0.5
            remembered = kept * remembered + (1 - kept) * rows
        lengths = np.linalg.norm(remembered, axis=1)
        wanted = (lengths.max() / lengths) @ remembered / 3
        assert aggregator(torch.from_numpy(rows)).tolist() == pytest.approx(wanted.tolist())


def test_an_absent_task_is_remembered() -> None:
    aggregator = DBMTL(beta=0.5, sigma=0.0)
    rows = tensor([[1.0, 0.0], [0.0, 1.0]])
    aggregator(rows)
    assert aggregator(3 * rows, active=tensor([True, False])).tolist() == pytest.approx([2.0, 0.0])
    # The second task is in its second step, the first in its third.
    assert aggregator(3 * rows).tolist() == pytest.approx([1.25, 1.25])


def test_on_logarithms_a_losss_unit_plays_no_part() -> None:
    points, factors = torch.linspace(1, 2, 6).double(), tensor([1.0, 1e3, 1e-4], dtype=torch.float64)
    found = []
    for scale in (torch.ones(3, dtype=torch.float64), factors):
        x = points.clone().requires_grad_()
        losses = scale * torch.stack([(x**2).sum(), (x - 3).abs().sum(), (x[0] - 5) ** 2 + 1])
        accord.backward(losses.log(), shared=[x], balancer=DBMTL())
        assert x.grad is not None
        found.append(x.grad.tolist())
    assert found[0] == pytest.approx(found[1])


def test_options_and_sizes_are_checked() -> None:
    for options in ({"beta": 1.0}, {"beta": -0.1}, {"sigma": -1.0}, {"sigma": math.nan}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            DBMTL(**options)
    aggregator = DBMTL()
    aggregator(torch.ones(2, 3))
    with pytest.raises(ConfigurationError, match="remembers"):
        aggregator(torch.ones(2, 4))
