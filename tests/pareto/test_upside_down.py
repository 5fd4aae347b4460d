"""Policies on command: what is remembered, what is commanded, and that a front is walked by commands alone."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError, DataError
from accord.pareto import Episode, UpsideDown


class Policy(nn.Module):
    """Scores of two actions."""

    def __init__(self, told: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1 + told, 32), nn.Tanh(), nn.Linear(32, 2))

    def forward(self, observations: Tensor, commands: Tensor) -> Tensor:
        return self.layers(torch.cat([observations, commands], dim=1))


def episode(*rewards: tuple[float, ...]) -> Episode:
    count = len(rewards)
    return Episode(torch.arange(count).float()[:, None], torch.arange(count), tensor(rewards))


def agent(**options) -> UpsideDown:
    return UpsideDown(nn.Identity(), 2, **options)


def test_commands_are_what_came_of_the_rest_of_the_episode() -> None:
    model = agent()
    model.remember(episode((1.0, 0.0), (0.0, 5.0), (2.0, -1.0)))
    observations, commands, actions = model.batch(100, torch.Generator().manual_seed(0))
    expected = {0: [3.0, 4.0, 3.0], 1: [2.0, 4.0, 2.0], 2: [2.0, -1.0, 1.0]}
    assert set(actions.tolist()) == {0, 1, 2}
    for action, command, observation in zip(actions.tolist(), commands.tolist(), observations, strict=True):
        assert command == expected[action] and observation.tolist() == [float(action)]


def test_what_is_left_of_a_command() -> None:
    command = agent().advance(tensor([3.0, 4.0, 2.0]), tensor([1.0, 0.5]))
    assert command.tolist() == [2.0, 3.5, 1.0]
    assert agent().advance(command, tensor([2.0, 4.0])).tolist() == [0.0, -0.5, 1.0]


def test_the_least_dominated_and_least_crowded_stay() -> None:
    model = agent(capacity=3)
    for point in ((0.0, 4.0), (4.0, 0.0), (1.0, 1.0)):
        model.remember(episode(point))
    model.remember(episode((3.0, 3.0)))  # dominates (1, 1), which goes
    assert sorted(model.returns().tolist()) == [[0.0, 4.0], [3.0, 3.0], [4.0, 0.0]]
    model.remember(episode((2.0, 3.5)))  # all four are on the front: gaps of 3/4 + 1/4 against 2/4 + 3.5/4 for (3, 3)
    assert sorted(model.returns().tolist()) == [[0.0, 4.0], [3.0, 3.0], [4.0, 0.0]]
    model.remember(episode((1.0, 3.9)))  # crowded by the end at (0, 4)
    model.remember(episode((3.5, 2.9)))  # leaves (3, 3) with gaps of 3.5/4 + 1.1/4 and has 1/4 + 3/4: it goes
    assert sorted(model.returns().tolist()) == [[0.0, 4.0], [3.0, 3.0], [4.0, 0.0]]


def test_preferences_choose_among_what_is_not_dominated() -> None:
    model = agent()
    for rewards in ([(0.0, 8.0)], [(8.0, 0.0)], [(3.0, 2.0), (3.0, 3.0)], [(1.0, 1.0)] * 5):
        model.remember(episode(*rewards))
    assert model.command(tensor([1.0, 0.0])).tolist() == [8.0, 0.0, 1.0]
    assert model.command(tensor([0.0, 1.0])).tolist() == [0.0, 8.0, 1.0]
    assert model.command(tensor([0.5, 0.5])).tolist() == [6.0, 5.0, 2.0]
    generator = torch.Generator().manual_seed(0)
    known = {(0.0, 8.0), (8.0, 0.0), (6.0, 5.0)}
    for _ in range(30):
        wanted = tuple(model.explore(generator)[:2].tolist())
        above = [tuple(w - k for w, k in zip(wanted, point, strict=True)) for point in known]
        # One reward of one of them is raised, by no more than a standard deviation, and the other is as it was.
        assert any(min(gap) == 0.0 and 0.0 <= max(gap) <= 4.2 for gap in above)


def test_a_front_is_walked_by_commands_alone() -> None:
    """Three steps, each worth (1, 0) or (0, 1) by the action: every return (k, 3 - k) can be commanded."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UpsideDown(Policy(3), 2, scales=(0.5, 0.5, 0.5))
    for actions in itertools.product([0, 1], repeat=3):
        taken = tensor(actions)
        rewards = torch.stack([1.0 - taken.float(), taken.float()], dim=1)
        model.remember(Episode(torch.zeros(3, 1), taken, rewards))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        observations, commands, actions = model.batch(64, generator)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(observations, commands), actions).backward()
        optimiser.step()
    for wanted in ([3.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 3.0]):
        command, total = tensor([*wanted, 3.0]), torch.zeros(2)
        for _ in range(3):
            action = int(model(torch.zeros(1, 1), command[None]).argmax())
            reward = tensor([1.0 - action, float(action)])
            total, command = total + reward, model.advance(command, reward)
        assert total.tolist() == wanted


def test_with_one_reward_it_is_what_is_kept_that_is_best() -> None:
    model = UpsideDown(nn.Identity(), 1, capacity=2)
    for reward in (1.0, 3.0, 2.0):
        model.remember(episode((reward,)))
    assert sorted(model.returns().flatten().tolist()) == [2.0, 3.0]
    assert model.command(tensor([1.0])).tolist() == [3.0, 1.0]


def test_mistakes_are_explained() -> None:
    with pytest.raises(DataError, match="no episodes"):
        agent().batch(1, torch.Generator())
    with pytest.raises(DataError, match="as many steps"):
        agent().remember(Episode(torch.zeros(2, 1), torch.zeros(1), torch.zeros(2, 2)))
    with pytest.raises(DataError, match="not finite"):
        agent().remember(episode((float("nan"), 0.0)))
    for options in ({"capacity": 0}, {"scales": (1.0, 1.0)}, {"scales": (1.0, 0.0, 1.0)}):
        with pytest.raises(ConfigurationError):
            agent(**options)
