"""Multi-objective GFlowNets on strings of three bits, whose distribution is known."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError, DataError
from accord.pareto import MOGFN
from accord.pareto.mogfn import thermometer

STRINGS = tensor(list(itertools.product([0, 1], repeat=3)))  # [8, 3]
# The first reward is for ones, the second for neighbours that differ.
REWARDS = torch.stack([STRINGS.sum(1) / 3, (STRINGS.diff(dim=1) != 0).sum(1) / 2], dim=1) + 0.1


def prefixes() -> Tensor:
    """What is known before each bit ``[8, 3, 6]``: the bits so far as -1 and 1, and the place."""
    signs = (2 * STRINGS - 1).float()
    known = torch.stack([torch.cat([signs[:, :i], torch.zeros(8, 3 - i)], dim=1) for i in range(3)], dim=1)
    return torch.cat([known, torch.eye(3).expand(8, 3, 3)], dim=2)


def log_forward(policy: nn.Module, conditions: Tensor) -> Tensor:
    """Return the probability's logarithm of each string at each condition ``[n, 8]``."""
    told = conditions[:, None, None].expand(-1, 8, 3, -1)
    logits = policy(torch.cat([prefixes().expand(len(told), -1, -1, -1), told], dim=3)).squeeze(3)
    return nn.functional.logsigmoid(torch.where(STRINGS == 1, logits, -logits)).sum(dim=2)


def wanted(preference: Tensor, exponent: float) -> Tensor:
    weights = (REWARDS @ preference) ** exponent
    return weights / weights.sum()


def test_the_loss_is_0_exactly_at_the_right_distribution() -> None:
    gflownet, preference, exponent = MOGFN(2), tensor([0.3, 0.7]), 3.0
    with torch.no_grad():
        for parameter in gflownet.log_partition.parameters():
            parameter.zero_()
        last = gflownet.log_partition[-1]
        assert isinstance(last, nn.Linear)
        last.bias.fill_(float(((REWARDS @ preference) ** exponent).sum().log()))
    arguments = (torch.zeros(8), REWARDS, preference.expand(8, 2), torch.full((8,), exponent))
    assert gflownet.loss(wanted(preference, exponent).log(), *arguments).item() < 1e-8
    off = wanted(preference, exponent).log() + 0.5
    assert gflownet.loss(off, *arguments).item() == pytest.approx(0.25, rel=1e-4)
    # An object that can be built in two equally likely ways: each is half as likely.
    half = (wanted(preference, exponent) / 2).log()
    assert gflownet.loss(half, torch.full((8,), 0.5).log(), *arguments[1:]).item() < 1e-8


def test_one_policy_learns_the_distributions_of_all_preferences() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        gflownet = MOGFN(2, exponents=(1.0, 4.0))
        policy = nn.Sequential(nn.Linear(6 + gflownet.features, 64), nn.ReLU(), nn.Linear(64, 1))
    generator = torch.Generator().manual_seed(0)
    groups = [{"params": policy.parameters(), "lr": 1e-2}, {"params": gflownet.parameters(), "lr": 2e-2}]
    optimiser = torch.optim.Adam(groups)
    for _ in range(200):
        preferences, exponents = gflownet.sample(16, generator)
        found = log_forward(policy, gflownet.encode(preferences, exponents)).flatten()
        each = preferences.repeat_interleave(8, dim=0), exponents.repeat_interleave(8)
        optimiser.zero_grad()
        gflownet.loss(found, torch.zeros(128), REWARDS.repeat(16, 1), *each).backward()
        optimiser.step()
    for first in (0.2, 0.8):
        preference = tensor([first, 1 - first])
        found = log_forward(policy, gflownet.encode(preference[None], tensor([3.0])))[0].detach().exp()
        assert float((found - wanted(preference, 3.0)).abs().sum()) / 2 < 0.1  # total variation
    ends = (wanted(tensor([0.2, 0.8]), 3.0) - wanted(tensor([0.8, 0.2]), 3.0)).abs().sum() / 2
    assert ends > 0.3, "the preference matters more than what passes for right"


def test_thermometer_by_hand() -> None:
    assert thermometer(tensor([0.0, 0.6, 1.0]), 4, 0.0, 1.0).tolist() == [
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, pytest.approx(0.4), 0.0],
        [1.0, 1.0, 1.0, 1.0],
    ]


def test_draws_and_bad_input() -> None:
    gflownet = MOGFN(3)
    preferences, exponents = gflownet.sample(2000, torch.Generator().manual_seed(0))
    assert gflownet.encode(preferences, exponents).shape == (2000, gflownet.features) == (2000, 3 * 16 + 32)
    assert 0.5 <= exponents.min() < 0.6 and 31.9 < exponents.max() <= 32
    with pytest.raises(DataError, match="shift them"):
        gflownet.log_reward(-torch.ones(1, 3), preferences[:1], exponents[:1])
    with pytest.raises(ConfigurationError, match="lowest and a highest"):
        MOGFN(2, exponents=(2.0, 1.0))
    with pytest.raises(ConfigurationError, match="bins 2 or more"):
        MOGFN(2, bins=(1, 32))
