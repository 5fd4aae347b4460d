"""ExcessMTL against its formula, and what noise does to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.aggregation import ExcessMTL
from accord.errors import ConfigurationError


def test_it_follows_the_formula() -> None:
    rng = np.random.default_rng(0)
    aggregator = ExcessMTL(eta=0.7)
    sums, weights, first = np.zeros((3, 6)), np.ones(3) / 3, None
    for _ in range(5):
        rows = rng.standard_normal((3, 6)) * [[1e-9], [1.0], [1e9]]
        sums += rows**2
        excess = (rows**2 / np.sqrt(sums)).sum(axis=1)
        if first is None:
            first = excess
        else:
            weights = weights * np.exp(0.7 * excess / first)
            weights /= weights.sum()
        assert aggregator(torch.from_numpy(rows)).tolist() == pytest.approx((weights @ rows).tolist())


def test_a_task_that_has_converged_loses_weight() -> None:
    aggregator = ExcessMTL(eta=0.5)
    for step in range(12):
        direction = aggregator(tensor([[0.3**step, 0.0], [0.0, 1.0]]))
    assert direction[1] > 0.8


def test_absent_tasks_keep_what_they_have() -> None:
    aggregator = ExcessMTL(eta=0.5)
    aggregator(torch.ones(3, 2))
    before = aggregator.squares.clone()
    aggregator(torch.ones(3, 2), active=tensor([True, False, True]))
    assert torch.equal(aggregator.squares[1], before[1]) and not torch.equal(aggregator.squares[0], before[0])
    # The others have gained alike, which is nothing between them, and nothing at the cost of who is not there.
    assert torch.softmax(aggregator.logits, dim=0).tolist() == pytest.approx([1 / 3] * 3)
    for _ in range(50):
        aggregator(
            torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.1, 0.3]])
            * torch.rand(3, 1, generator=torch.Generator().manual_seed(0)),
            active=tensor([True, False, True]),
        )
    weights = aggregator.head_weights(torch.ones(3), active=torch.ones(3, dtype=torch.bool))
    assert weights[1].item() == pytest.approx(1 / 3) and weights[0].item() != pytest.approx(1 / 3, abs=1e-3)


def test_a_task_without_gradient_at_first() -> None:
    aggregator = ExcessMTL()
    assert aggregator(tensor([[0.0, 0.0], [2.0, 4.0]])).tolist() == pytest.approx([1.0, 2.0])
    aggregator(tensor([[3.0, 1.0], [2.0, 4.0]]))
    assert aggregator.initial[0] > 0 and aggregator.logits.isfinite().all()


def test_heads_descend_the_loss_of_those_that_are_there() -> None:
    aggregator, rows = ExcessMTL(eta=2.0), torch.diag(tensor([1.0, 2.0, 3.0]))
    assert not aggregator.head_weights(torch.ones(3), active=torch.zeros(3, dtype=torch.bool)).any()
    for factor in (1.0, 0.1, 0.5):
        aggregator(rows * tensor([[1.0], [factor], [2 * factor]]))
    active = tensor([True, False, True])
    heads = aggregator.head_weights(torch.ones(3), active=active)
    everybody = aggregator.head_weights(torch.ones(3), active=torch.ones(3, dtype=torch.bool))
    assert float(heads.sum()) == pytest.approx(1.0) and heads[1] == 0
    assert float(heads[0] / heads[2]) == pytest.approx(float(everybody[0] / everybody[2]))


def test_eta_is_checked() -> None:
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigurationError, match="eta"):
            ExcessMTL(wrong)
