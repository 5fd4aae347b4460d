"""Bandits: their rules by hand and against plain pseudo-code, and their regret on planted problems."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from accord.errors import ConfigurationError
from accord.sampling import UCB, AutomatedCurriculum, DiscountedUCB, Exp3, Exp3S, InfluenceMatrix, Thompson
from accord.sampling.bandit import Bandit

NAN = float("nan")


def arm(counts: torch.Tensor) -> int:
    return int(counts.argmax())


def only(task: int, value: float, tasks: int) -> list[float]:
    return [value if other == task else NAN for other in range(tasks)]


def test_exp3_against_its_pseudo_code() -> None:
    tasks, horizon = 3, 200
    sampler = Exp3(tasks, horizon)
    g = min(1.0, math.sqrt(tasks * math.log(tasks) / ((math.e - 1) * horizon)))
    weights = np.ones(tasks)
    generator = np.random.default_rng(1)
    for _ in range(horizon):
        p = (1 - g) * weights / weights.sum() + g / tasks
        assert np.allclose(sampler.policy().numpy(), p)
        task, reward = arm(sampler(1)), float(generator.random())
        sampler.observe(rewards=only(task, reward, tasks))
        weights[task] *= math.exp(g * (reward / p[task]) / tasks)


def test_exp3s_against_its_pseudo_code() -> None:
    tasks, horizon, switches = 4, 150, 2
    sampler = Exp3S(tasks, horizon, switches)
    alpha = 1 / horizon
    g = min(1.0, math.sqrt(tasks * (3 * math.log(tasks * horizon) + math.e) / ((math.e - 1) * horizon)))
    weights = np.ones(tasks)
    generator = np.random.default_rng(2)
    for _ in range(horizon):
        p = (1 - g) * weights / weights.sum() + g / tasks
        assert np.allclose(sampler.policy().numpy(), p)
        task, reward = arm(sampler(1)), float(generator.random())
        sampler.observe(rewards=only(task, reward, tasks))
        estimate = np.zeros(tasks)
        estimate[task] = reward / p[task]
        weights = weights * np.exp(g * estimate / tasks) + math.e * alpha / tasks * weights.sum()


def test_automated_curriculum_against_its_pseudo_code() -> None:
    tasks = 3
    sampler = AutomatedCurriculum(tasks, rate=0.05, explore=0.2, memory=100)
    w, history = np.zeros(tasks), []
    generator = np.random.default_rng(3)
    for t in range(1, 60):
        policy = 0.8 * np.exp(w) / np.exp(w).sum() + 0.2 / tasks
        assert np.allclose(sampler.policy().numpy(), policy)
        task, progress = arm(sampler(1)), float(generator.normal() * 50)
        sampler.observe(rewards=only(task, progress, tasks))
        history.append(progress)
        low, high = np.quantile(history, [0.2, 0.8])
        scaled = 0.0 if low == high else min(1.0, max(-1.0, 2 * (progress - low) / (high - low) - 1))
        r = np.zeros(tasks)
        r[task] = scaled / policy[task]
        grown = np.exp(w + 0.05 * r)
        w = np.log((1 - 1 / t) * grown + (1 / t) / (tasks - 1) * (grown.sum() - grown))


def test_the_curriculum_knows_no_units_and_remembers_evenly() -> None:
    one, other = (AutomatedCurriculum(2, memory=8) for _ in range(2))
    generator = np.random.default_rng(4)
    for _ in range(40):
        task = arm(one(1))
        assert arm(other(1)) == task
        progress = float(generator.normal())
        one.observe(rewards=only(task, progress, 2))
        other.observe(rewards=only(task, 1e6 * progress + 3.0, 2))
    assert torch.allclose(one.scores, other.scores, atol=1e-6)
    assert int(one.seen) == 40 and one.history.abs().min() > 0


def test_ucb_by_hand() -> None:
    sampler = UCB(2)
    assert arm(sampler(1)) == 0
    assert arm(sampler(1)) == 1  # rewards that come late do not hold up the first round
    sampler.observe(rewards=[0.5, 1.0])
    assert sampler.bounds().tolist() == pytest.approx(
        [0.5 + math.sqrt(2 * math.log(2)), 1 + math.sqrt(2 * math.log(2))]
    )
    assert arm(sampler(1)) == 1
    sampler.observe(rewards=[NAN, 0.0])
    # n = 3: 0.5 + sqrt(2 ln 3) against (1 + 0)/2 + sqrt(2 ln 3 / 2).
    assert sampler.bounds().tolist() == pytest.approx([0.5 + math.sqrt(2 * math.log(3)), 0.5 + math.sqrt(math.log(3))])
    assert arm(sampler(1)) == 0


def test_discounted_ucb_by_hand() -> None:
    sampler = DiscountedUCB(2, discount=0.5, exploration=0.6)
    for task, reward in ((0, 1.0), (1, 0.0), (0, 0.5)):
        sampler.observe(rewards=only(task, reward, 2))
    # Counts 1 + 1/4 and 1/2; sums 0.5 + 1/4 and 0.
    counts = np.array([1.25, 0.5])
    bounds = np.array([0.75, 0.0]) / counts + 2 * np.sqrt(0.6 * math.log(1.75) / counts)
    assert sampler.bounds().tolist() == pytest.approx(bounds.tolist())


def test_thompson_keeps_beta_posteriors() -> None:
    sampler = Thompson(3, discount=0.5)
    sampler.observe(rewards=[1.0, 0.0, NAN])
    sampler.observe(rewards=[1.0, NAN, NAN])
    assert sampler.successes.tolist() == [1.5, 0.0, 0.0]
    assert sampler.failures.tolist() == [0.0, 0.5, 0.0]


def test_thompson_draws_each_arm_as_often_as_it_is_likely_best() -> None:
    """Beta(3, 1) is above Beta(1, 1) with probability 3/4, by integration."""
    sampler = Thompson(2)
    sampler.successes[0] = 2.0
    wins = sum(arm(sampler(1)) == 0 for _ in range(2000))
    assert abs(wins / 2000 - 0.75) < 4.9 * math.sqrt(0.75 * 0.25 / 2000)  # error rate 1e-6


def test_thompson_tosses_are_fair() -> None:
    sampler = Thompson(1)
    for _ in range(1000):
        sampler.observe(rewards=[0.3])
    assert abs(float(sampler.successes) - 300) < 4.9 * math.sqrt(1000 * 0.21)  # error rate 1e-6


Problem = Callable[[int], list[float]]


def play(sampler: Bandit, means: Problem, steps: int, seed: int) -> tuple[float, float]:
    """Return the regret against the best fixed arm, and against the best arm of every step, in expected reward."""
    coins = np.random.default_rng(seed)
    table = np.array([means(step) for step in range(steps)])
    earned = 0.0
    for step in range(steps):
        task = arm(sampler(1))
        earned += table[step, task]
        sampler.observe(rewards=only(task, float(coins.random() < table[step, task]), sampler.tasks))
    return table.sum(axis=0).max() - earned, table.max(axis=1).sum() - earned


STEADY = [0.8, 0.5, 0.5, 0.3]
SEEDS = range(3)


def mean_regret(make: Callable[[int], Bandit], means: Problem, steps: int) -> tuple[float, float]:
    found = np.array([play(make(seed), means, steps, 100 + seed) for seed in SEEDS])
    return float(found[:, 0].mean()), float(found[:, 1].mean())


def test_regret_on_a_steady_problem_is_within_the_theorems() -> None:
    steps = 600
    gaps = [max(STEADY) - mean for mean in STEADY if mean < max(STEADY)]
    uniform = steps * sum(gaps) / len(STEADY)
    exp3, _ = mean_regret(lambda seed: Exp3(4, steps, seed=seed), lambda step: STEADY, steps)
    assert exp3 <= 2 * math.sqrt(math.e - 1) * math.sqrt(steps * 4 * math.log(4))
    assert exp3 < 0.75 * uniform
    ucb, _ = mean_regret(lambda seed: UCB(4), lambda step: STEADY, steps)
    assert ucb <= 8 * sum(math.log(steps) / gap for gap in gaps) + (1 + math.pi**2 / 3) * sum(gaps)
    thompson, _ = mean_regret(lambda seed: Thompson(4, seed=seed), lambda step: STEADY, steps)
    assert max(ucb, thompson) < 0.5 * uniform and thompson < ucb


def test_the_regret_of_ucb_grows_like_a_logarithm() -> None:
    short, _ = mean_regret(lambda seed: UCB(2), lambda step: [0.9, 0.1], 100)
    long, _ = mean_regret(lambda seed: UCB(2), lambda step: [0.9, 0.1], 900)
    assert long / short < 2.4  # ln 900 / ln 100 = 1.5; of the order of sqrt(n) it would be 3, of n 9


def switching(step: int) -> list[float]:
    """The first arm is the best one at first, then the second, each for 500 steps."""
    return [0.9, 0.1, 0.2] if step < 500 else [0.1, 0.9, 0.2]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("discounted UCB", lambda seed: DiscountedUCB(3, discount=0.98)),
        ("discounted Thompson", lambda seed: Thompson(3, discount=0.97, seed=seed)),
        ("Exp3.S", lambda seed: Exp3S(3, 1000, switches=1, seed=seed)),
    ],
)
def test_those_that_forget_beat_the_best_fixed_arm_where_it_changes(name: str, make) -> None:
    fixed, best = mean_regret(make, switching, 1000)
    assert fixed < 0, f"{name} has regret {fixed} against the best single task"
    if name == "Exp3.S":
        assert best <= 2 * math.sqrt(math.e - 1) * math.sqrt(3 * 1000 * (2 * math.log(3000) + math.e))


def test_plain_thompson_is_slower_to_notice() -> None:
    _, plain = mean_regret(lambda seed: Thompson(3, seed=seed), switching, 1000)
    _, fading = mean_regret(lambda seed: Thompson(3, discount=0.97, seed=seed), switching, 1000)
    assert fading < 0.6 * plain


def test_influence_by_hand() -> None:
    sampler = InfluenceMatrix(UCB(2), period=3)
    heard: list[list[float]] = []
    gradients = [torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8]), torch.tensor([0.0, 2.0])]
    tasks = []
    for gradient in gradients:
        tasks.append(arm(sampler(5)))
        sampler.observe(gradient=gradient)
        heard.append(sampler.bandit.sums.tolist())  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    assert tasks == [0, 1, 0]  # each once, then the bandit's first choice
    # Task 0: cosines with itself 1 and 1; of task 1 none at first, then 0.8 with (0.6, 0.8). Task 1: 1, and 0.6.
    assert torch.allclose(sampler.matrix, torch.tensor([[1.0, 0.6], [0.4, 1.0]], dtype=torch.float64), atol=1e-6)
    assert heard[:2] == [[0.0, 0.0]] * 2
    rewards = [1 / (1 + math.exp(-1.4)), 1 / (1 + math.exp(-1.6))]
    assert heard[2] == pytest.approx(rewards)


def test_influence_finds_the_task_that_helps_all() -> None:
    """Gradients of tasks 0 and 1 are opposed, that of task 2 lies close to task 0's and helps both of its kind."""
    directions = torch.tensor([[1.0, 0.1], [-1.0, 0.1], [1.0, 0.3]])
    sampler = InfluenceMatrix(Thompson(3, discount=0.99, seed=1))
    noise = np.random.default_rng(0)
    drawn = torch.zeros(3)
    for _ in range(300):
        counts = sampler(1)
        drawn += counts
        sampler.observe(gradient=directions[arm(counts)] + 0.1 * torch.from_numpy(noise.normal(size=2)).float())
    assert drawn[1] < drawn[0] and drawn[1] < drawn[2]


def test_influence_refuses_what_it_cannot_place() -> None:
    sampler = InfluenceMatrix(UCB(2))
    with pytest.raises(ConfigurationError, match="no batch was drawn yet"):
        sampler.observe(gradient=torch.ones(3))
    sampler(4)
    sampler.observe(gradient=torch.zeros(3))  # says nothing
    sampler.observe(gradient=torch.ones(3))
    with pytest.raises(ConfigurationError, match="3 entries so far; got one of 2"):
        sampler.observe(gradient=torch.ones(2))
