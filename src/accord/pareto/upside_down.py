"""Policies that are commanded: so much of each reward, in so much time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError, DataError
from accord.method import Method
from accord.pareto.dominance import crowding, ranks


@dataclass(frozen=True)
class Episode:
    """What happened: observations ``[n, ...]``, actions ``[n, ...]`` and rewards ``[n, T]`` of n steps."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor

    def __len__(self) -> int:
        return len(self.rewards)


class UpsideDown(nn.Module):
    """Upside-down reinforcement learning with commands of several rewards: supervised learning alone.

    The policy is told how much of each reward is still wanted, and in how many steps, and learns to act as was acted
    where just that came about: of an episode from step ``t`` on, ``(sum of rewards from t to the end, steps left)`` is
    a command that the action at ``t`` obeyed. There are no values, no discounts and no weights; a front is walked by
    commanding its points::

        agent = accord.pareto.UpsideDown(policy, tasks=2, scales=(1.0, 1.0, 0.1))
        command = agent.explore(generator)                     # or agent.command(preference)
        while not done:
            action = sample(agent(observation[None], command[None]))
            ...
            command = agent.advance(command, reward)
        agent.remember(Episode(observations, actions, rewards))
        for _ in range(50):
            observations, commands, actions = agent.batch(256, generator)
            cross_entropy(agent(observations, commands), actions).backward()

    Episodes are not in the state dict: keep them like any data.

    Shapes: commands ``[..., T + 1]``, rewards first, then steps. Cost: that of the policy; ``remember`` O(N^2 T) for N
    episodes kept.

    Args:
        policy: maps ``(observations, commands)`` to whatever the actions are scored by.
        tasks: T, how many rewards there are; more of each is better.
        scales: ``[T + 1]``, what commands are multiplied by before the policy sees them, so that they are about 1.
        capacity: episodes kept at most: the least dominated, and of those the least crowded.

    Raises:
        ConfigurationError: an option is out of range.

    Source: Arulkumaran, Ashley, Schmidhuber and Srivastava, All You Need Is Supervised Learning: From Imitation
    Learning to Meta-RL With Upside Down RL, 2022; exploration by commands a little beyond the best episodes is that of
    Srivastava et al., Training Agents using Upside-Down Reinforcement Learning, 2019, where returns are single numbers
    and episodes are kept by them. Commands of several rewards are ours; with one reward it is theirs.
    """

    method: ClassVar[Method] = Method(
        title="Upside-down reinforcement learning",
        paper="All You Need Is Supervised Learning: From Imitation Learning to Meta-RL With Upside Down RL",
        year=2022,
        url="https://arxiv.org/abs/2202.11960",
        needs="data",
        cost="supervised learning on episodes",
        catalogue=(762,),
    )
    factors: Tensor

    def __init__(
        self, policy: nn.Module, tasks: int, scales: Sequence[float] | None = None, capacity: int = 300
    ) -> None:
        super().__init__()
        factors = torch.ones(tasks + 1) if scales is None else torch.tensor(list(scales), dtype=torch.float32)
        if tasks < 1 or capacity < 1 or factors.shape != (tasks + 1,) or not bool((factors > 0).all()):
            raise ConfigurationError(
                f"needs at least 1 task, {tasks + 1} scales above 0 and a capacity of at least 1; "
                f"got {tasks}, {scales} and {capacity}"
            )
        self.policy, self.tasks, self.capacity = policy, tasks, capacity
        self.register_buffer("factors", factors)
        self.episodes: list[Episode] = []

    def forward(self, observations: Tensor, commands: Tensor) -> Tensor:
        """Return what the policy makes of ``observations`` ``[B, ...]`` under ``commands`` ``[B, T + 1]``."""
        return self.policy(observations, commands * self.factors)

    def remember(self, episode: Episode) -> None:
        """Keep an episode, and forget the worst where there are too many.

        Raises:
            DataError: it is empty, its parts differ in length, or a reward is not finite.
        """
        sizes = {len(episode.observations), len(episode.actions), len(episode.rewards)}
        if len(sizes) > 1 or not len(episode) or episode.rewards.shape[1:] != (self.tasks,):
            raise DataError(
                f"an episode has observations, actions and rewards [n, {self.tasks}] of as many steps, at least one; "
                f"got {[list(part.shape) for part in (episode.observations, episode.actions, episode.rewards)]}"
            )
        if not bool(episode.rewards.isfinite().all()):
            raise DataError("a reward of the episode is not finite")
        self.episodes.append(episode)
        if len(self.episodes) > self.capacity:
            del self.episodes[self._worst()]

    def returns(self) -> Tensor:
        """Return the sums of rewards ``[N, T]`` of the episodes kept, float64."""
        return torch.stack([episode.rewards.double().sum(dim=0) for episode in self.episodes])

    def _worst(self) -> int:
        points = -self.returns()
        level = ranks(points)
        last = (level == level.max()).nonzero().flatten()
        # Of those that nobody else is near, the one that came first goes.
        return int(last[crowding(points[last]).argmin()])

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return observations, commands ``[count, T + 1]`` and actions of steps drawn from the episodes kept.

        Episodes are drawn evenly, then steps of them.

        Raises:
            DataError: there are no episodes.
        """
        self._need_episodes()
        chosen = torch.randint(len(self.episodes), (count,), generator=generator).tolist()
        places = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
        steps = [int(place * len(self.episodes[one])) for one, place in zip(chosen, places, strict=True)]
        episodes = [self.episodes[one] for one in chosen]
        commands = [
            torch.cat([one.rewards[step:].sum(dim=0), one.rewards.new_tensor([len(one) - step])])
            for one, step in zip(episodes, steps, strict=True)
        ]
        seen = [one.observations[step] for one, step in zip(episodes, steps, strict=True)]
        done = [one.actions[step] for one, step in zip(episodes, steps, strict=True)]
        return torch.stack(seen), torch.stack(commands).to(self.factors), torch.stack(done)

    def command(self, preference: Tensor) -> Tensor:
        """Return the command ``[T + 1]`` of that non-dominated episode which serves ``preference`` ``[T]`` best.

        Returns are brought to [0, 1] over the non-dominated ones; the largest weighted regret decides (Tchebycheff).
        """
        front, lengths = self._front()
        low, high = front.amin(dim=0), front.amax(dim=0)
        regret = preference.to(front) * (high - front) / (high - low).clamp(min=1e-12)
        best = int((regret.amax(dim=1) + 1e-6 * regret.sum(dim=1)).argmin())
        return torch.cat([front[best], lengths[best, None]]).to(self.factors)

    def explore(self, generator: torch.Generator) -> Tensor:
        """Return a command ``[T + 1]`` a little beyond the front: one reward of a non-dominated episode is raised.

        It is raised by up to one standard deviation of that reward among the non-dominated episodes, or among all where
        there is one such.
        """
        front, lengths = self._front()
        among = front if len(front) > 1 else self.returns()
        chosen, task = (int(torch.randint(n, (), generator=generator)) for n in (len(front), self.tasks))
        wanted = front[chosen].clone()
        spread = among.std(dim=0)[task] if len(among) > 1 else wanted[task].abs()
        wanted[task] += spread * torch.rand((), generator=generator, dtype=torch.float64)
        return torch.cat([wanted, lengths[chosen, None]]).to(self.factors)

    def advance(self, command: Tensor, reward: Tensor) -> Tensor:
        """Return what is left of ``command`` ``[T + 1]`` after a step that brought ``reward`` ``[T]``.

        There is always a step left.
        """
        left = command - torch.cat([reward.to(command), command.new_ones(1)])
        return torch.cat([left[:-1], left[-1:].clamp(min=1.0)])

    def _front(self) -> tuple[Tensor, Tensor]:
        self._need_episodes()
        returns = self.returns()
        best = (ranks(-returns) == 0).nonzero().flatten()
        return returns[best], torch.tensor([float(len(self.episodes[int(one)])) for one in best], dtype=torch.float64)

    def _need_episodes(self) -> None:
        if not self.episodes:
            raise DataError("there are no episodes yet: remember some, of random actions to begin with")
