"""CoBa against the paper's formulas, written down once more with lists and NumPy's line fit."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import CoBa


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def formulas(losses: np.ndarray, warmup: int, history: int, tau: float) -> np.ndarray:
    """The weights after the last row of validation losses ``[steps, T]``."""
    ratios, tasks = losses / losses[0], losses.shape[1]
    slopes = []
    for end in range(warmup, len(losses) + 1):
        window = ratios[max(0, end - history) : end]
        slopes.append([np.polyfit(np.arange(len(window)), column, 1)[0] for column in window.T])
    slope = np.array(slopes)
    relative = softmax(tasks * slope[-1] / np.abs(slope[-1]).sum())
    recent = slope[-history:]
    absolute = softmax(-len(recent) * recent[-1] / np.abs(recent).sum(axis=0))
    worst = slope.max(axis=1)
    factor = min(1.0, len(worst) * softmax(-tau * len(worst) * worst / np.abs(worst).sum())[-1])
    return factor * relative + (1 - factor) * absolute


@pytest.mark.parametrize("steps", [3, 4, 7, 15, 30])
def test_it_is_the_papers_formulas(steps: int) -> None:
    rng = np.random.default_rng(steps)
    falls = np.exp(-np.arange(steps)[:, None] * rng.uniform(-0.02, 0.1, 4))
    losses = rng.uniform(1, 5, 4) * falls * rng.uniform(0.97, 1.03, (steps, 4))
    weighting = CoBa(warmup=3, history=6)
    for row in losses:
        weighting.observe(torch.from_numpy(row))
    wanted = formulas(losses, 3, 6, 5.0)
    assert weighting(torch.ones(4, dtype=torch.float64)).numpy() == pytest.approx(wanted, rel=1e-9)


def test_by_hand() -> None:
    weighting = CoBa(warmup=2)
    weighting.observe(tensor([1.0, 2.0]))
    assert weighting(torch.ones(2)).tolist() == [0.5, 0.5]
    weighting.observe(tensor([0.7, 1.8]))
    # Slopes -0.3 and -0.1 per step; with one slope so far the factor is 1: softmax(-1.5, -0.5).
    second = 1 / (1 + math.exp(-1.0))
    assert weighting(torch.ones(2)).tolist() == pytest.approx([1 - second, second])


def test_slow_tasks_gain_while_all_converge_and_diverging_ones_lose() -> None:
    weighting = CoBa(warmup=2, history=5)
    for step in range(12):
        weighting.observe(tensor([0.8**step, 0.97**step]))
    converging = weighting(torch.ones(2))
    assert converging[1] > 0.55
    for step in range(12):
        weighting.observe(tensor([0.8 ** (12 + step), 0.97**12 * 1.2**step]))
    assert weighting(torch.ones(2))[1] < 0.4


def test_a_task_without_validation_keeps_its_slope() -> None:
    weighting = CoBa(warmup=2, history=2)
    weighting.observe(tensor([1.0, 1.0]))
    weighting.observe(tensor([0.5, 0.9]))
    for value in (0.8, 0.7):
        weighting.observe(tensor([math.nan, value]))
    assert weighting.slopes[-1].tolist() == pytest.approx([-0.5, -0.1], rel=1e-6)


def test_flat_losses_are_no_accident() -> None:
    weighting = CoBa(warmup=2)
    for _ in range(4):
        weighting.observe(tensor([0.0, 1.0]))
    assert weighting(torch.ones(2)).tolist() == [0.5, 0.5]


def test_it_resumes_in_the_middle() -> None:
    rows = torch.rand(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    first, second = CoBa(warmup=2, history=4), CoBa(warmup=2, history=4)
    for row in rows[:7]:
        first.observe(row)
    second.load_state_dict(first.state_dict())
    for row in rows[7:]:
        for weighting in (first, second):
            weighting.end_epoch(validation=row)
        assert torch.equal(first(row), second(row))


def test_it_goes_back_to_an_earlier_state() -> None:
    weighting, rows = CoBa(warmup=2, history=5), np.random.default_rng(1).uniform(1, 2, (6, 3))
    states, weights = [], []
    for row in rows:
        states.append(copy.deepcopy(weighting.state_dict()))
        weighting.observe(torch.from_numpy(row))
        weights.append(weighting(torch.ones(3)))
    for place in (3, 5, 0):
        weighting.load_state_dict(states[place])
        weighting.observe(torch.from_numpy(rows[place]))
        assert torch.equal(weighting(torch.ones(3)), weights[place])
    with pytest.raises(RuntimeError, match="size mismatch"):
        weighting.load_state_dict({**states[3], "first": torch.ones(2)})


def test_options_are_checked() -> None:
    for options in ({"warmup": 1}, {"history": 1}, {"tau": 0.0}, {"tau": math.inf}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            CoBa(**options)
    weighting = CoBa()
    weighting.observe(torch.ones(2))
    with pytest.raises(ConfigurationError, match="set up for 2"):
        weighting.observe(torch.ones(3))
