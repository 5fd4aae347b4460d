"""Objects drawn in proportion to what a preference makes of several rewards."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError, DataError
from accord.method import Method
from accord.pareto.preferences import draw_preferences

# Rewards below this count as this much: objects without any are not drawn, but have a logarithm.
FLOOR = 1e-8


class MOGFN(nn.Module):
    """Multi-objective GFlowNet, preference-conditional (MOGFN-PC), trained by trajectory balance.

    A policy builds objects ``x`` action by action. Told a preference ``w`` and an exponent ``b``, it is to draw ``x``
    with a probability in proportion to ``R(x | w, b) = (sum_t w_t r_t(x))^b``, ``r_t >= 0``: one policy for the whole
    front, and many different objects at each place of it. With ``P_F`` and ``P_B`` the probabilities of a trajectory's
    actions forward and, from ``x``, backward, and a learned ``log Z(w, b)``, the loss is the mean of
    ``(log Z + log P_F - log R - log P_B)^2``, 0 for all trajectories exactly where the policy is right. Any will do,
    the policy's own or others. What the policy is, and how it moves, is the caller's::

        preferences, exponents = gflownet.sample(64, generator)
        conditions = gflownet.encode(preferences, exponents)             # [64, gflownet.features], input to the policy
        objects, log_forward, log_backward = rollout(policy, conditions)
        gflownet.loss(log_forward, log_backward, rewards(objects), preferences, exponents).backward()

    Cost: that of the policy, and an MLP for ``log Z``.

    Args:
        tasks: T.
        hidden: width of the two layers of the MLP.
        concentration: of the Dirichlet distribution of preferences, above 0.
        exponents: lowest and highest exponent, above 0; they are drawn uniformly. A larger one asks for better and
            fewer objects. Two equal ones fix it.
        bins: of the thermometer codes, for each preference and for the exponent.

    Raises:
        ConfigurationError: an option is out of range.

    Source: Jain et al., Multi-Objective GFlowNets, 2023 (concentration 1.5, exponents from 0.5 to 32 and bins 16 and
    32: the authors' code). A thermometer code of a number has an entry per bin: 1 below it, 0 above it, and in its own
    bin the part that it fills; bins divide the whole range, where the authors' last one begins at its end. ``log Z``
    should learn faster than the policy: give it a learning rate of its own.
    """

    method: ClassVar[Method] = Method(
        title="Multi-objective GFlowNet",
        paper="Multi-Objective GFlowNets",
        year=2023,
        url="https://arxiv.org/abs/2210.12765",
        needs="data",
        cost="one trajectory, forward and backward, per sample",
        catalogue=(98,),
    )

    def __init__(
        self,
        tasks: int,
        hidden: int = 64,
        concentration: float = 1.5,
        exponents: tuple[float, float] = (0.5, 32.0),
        bins: tuple[int, int] = (16, 32),
    ) -> None:
        super().__init__()
        if tasks < 1 or hidden < 1 or min(bins) < 2:
            raise ConfigurationError(f"tasks and hidden are 1 or more, bins 2 or more; got {tasks}, {hidden}, {bins}")
        if not 0.0 < exponents[0] <= exponents[1] < float("inf"):
            raise ConfigurationError(f"exponents are a lowest and a highest number above 0; got {exponents}")
        self.tasks, self.concentration, self.exponents, self.bins = tasks, concentration, exponents, bins
        self.features = tasks * bins[0] + bins[1]
        widths = (self.features, hidden, hidden)
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU())]
        self.log_partition = nn.Sequential(*layers, nn.Linear(hidden, 1))

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return preferences ``[count, T]`` and exponents ``[count]`` to train with; the generator is on the CPU."""
        preferences = draw_preferences(count, self.tasks, generator, self.concentration)
        low, high = self.exponents
        return preferences, low + (high - low) * torch.rand(count, generator=generator)

    def encode(self, preferences: Tensor, exponents: Tensor) -> Tensor:
        """Return what the policy is told ``[n, features]`` of preferences ``[n, T]`` and exponents ``[n]``."""
        codes = thermometer(preferences, self.bins[0], 0.0, 1.0).flatten(start_dim=1)
        return torch.cat([codes, thermometer(exponents, self.bins[1], 0.0, self.exponents[1])], dim=1)

    def log_reward(self, rewards: Tensor, preferences: Tensor, exponents: Tensor) -> Tensor:
        """Return ``log R`` ``[n]`` of rewards ``[n, T]``, which are not negative.

        Raises:
            DataError: a reward is negative or not finite.
        """
        if not bool((rewards.isfinite() & (rewards >= 0)).all()):
            raise DataError("rewards must be finite and not negative; shift them, so that 0 is the worst there is")
        return exponents * (preferences.to(rewards) * rewards).sum(dim=-1).clamp(min=FLOOR).log()

    def loss(
        self, log_forward: Tensor, log_backward: Tensor, rewards: Tensor, preferences: Tensor, exponents: Tensor
    ) -> Tensor:
        """Return the trajectory balance loss of n trajectories, each at its own preference and exponent.

        Args:
            log_forward: ``[n]``, sums over the actions of each trajectory.
            log_backward: ``[n]``, likewise; 0 where there is one way only to build an object.
            rewards: ``[n, T]`` of the objects they end in.
            preferences: ``[n, T]``.
            exponents: ``[n]``.

        Raises:
            DataError: a reward is negative or not finite.
        """
        log_partition = self.log_partition(self.encode(preferences, exponents)).squeeze(1)
        wanted = self.log_reward(rewards, preferences, exponents)
        return (log_partition + log_forward - wanted - log_backward).square().mean()


def thermometer(values: Tensor, bins: int, low: float, high: float) -> Tensor:
    """Return ``[..., bins]`` codes of ``values`` ``[...]``: how much of each bin from ``low`` to ``high`` is filled."""
    edges = torch.arange(bins, dtype=values.dtype, device=values.device) / bins
    filled = (values[..., None] - low) / (high - low)
    return ((filled - edges) * bins).clamp(0.0, 1.0)
