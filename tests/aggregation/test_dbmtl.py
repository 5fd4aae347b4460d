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


def test_a_losss_unit_plays_no_part() -> None:
    points, factors = torch.linspace(1, 2, 6).double(), tensor([1.0, 1e3, 1e-4], dtype=torch.float64)
    found = []
    for scale in (torch.ones(3, dtype=torch.float64), factors):
        x, head = points.clone().requires_grad_(), torch.ones((), dtype=torch.float64, requires_grad=True)
        losses = scale * torch.stack([head * (x**2).sum(), (x - 3).abs().sum(), (x[0] - 5) ** 2 + head])
        accord.backward(losses, shared=[x], balancer=DBMTL())
        assert x.grad is not None and head.grad is not None
        # d log(head a) = 1 at head = 1, d log(b + head) = 1 / (b + 1), over three tasks.
        assert float(head.grad) == pytest.approx((1 + 1 / ((float(x.detach()[0]) - 5) ** 2 + 1)) / 3)
        found.append(x.grad.tolist())
    assert found[0] == pytest.approx(found[1])


def test_rows_are_divided_by_their_losses() -> None:
    # Gradients (6, 0) and (0, 4) of losses 2 and 4 are (3, 0) and (0, 1) of their logarithms.
    rows = tensor([[6.0, 0.0], [0.0, 4.0]])
    assert DBMTL()(rows, losses=tensor([2.0, 4.0])).tolist() == [1.5, 1.5]
    assert DBMTL(logarithm=False)(rows, losses=tensor([2.0, 4.0])).tolist() == [3.0, 3.0]
    assert DBMTL()(rows).tolist() == [3.0, 3.0]


def test_losses_without_a_logarithm() -> None:
    rows, none = tensor([[1e-9, 0.0], [0.0, 4.0]]), tensor([0.0, 4.0])
    # A loss of 0 counts as 1e-8, and its gradient as (0.1, 0).
    assert DBMTL()(rows, losses=none).tolist() == pytest.approx([0.5, 0.5])
    everybody = tensor([True, True])
    assert DBMTL().head_weights(none, active=everybody).tolist() == pytest.approx([0.5e8, 0.125])
    # Those that are absent count for nobody, and may be what they like.
    some = DBMTL().head_weights(tensor([2.0, -4.0, 4.0]), active=tensor([True, False, True]))
    assert some[[0, 2]].tolist() == [0.25, 0.125]
    half = DBMTL()(rows[:, 1:].half(), losses=none.half())
    assert half.tolist() == [0.5] and DBMTL().head_weights(none.half(), active=everybody).isfinite().all()
    aggregator = DBMTL()
    with pytest.raises(ConfigurationError, match=r"task 1 is -4, below 0.*logarithm=False"):
        aggregator(rows, losses=tensor([1.0, -4.0]))
    assert not aggregator.average.numel(), "a refused step left a trace"
    with pytest.raises(ConfigurationError, match="task 2 is -4"):
        aggregator(torch.eye(3), losses=tensor([1.0, 1.0, -4.0]), active=tensor([False, True, True]))
    assert DBMTL(logarithm=False).head_weights(-none, active=everybody).tolist() == [0.5, 0.5]


def test_options_and_sizes_are_checked() -> None:
    for options in ({"beta": 1.0}, {"beta": -0.1}, {"sigma": -1.0}, {"sigma": math.nan}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            DBMTL(**options)
    aggregator = DBMTL()
    aggregator(torch.ones(2, 3))
    with pytest.raises(ConfigurationError, match="remembers"):
        aggregator(torch.ones(2, 4))
