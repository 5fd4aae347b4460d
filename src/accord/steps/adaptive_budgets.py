"""Attack budgets that keep any one adversary from dominating the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.engines import Step
from accord.errors import ConfigurationError
from accord.method import Method


class AdaptiveBudgets(nn.Module):
    """Shrink the budget of an adversary whose gradients outgrow the others', and give it back as they even out.

    For training against several attacks at once, each of them one task: its loss on examples perturbed within its own
    budget, such as the radius of an l1, l2 or l-infinity ball. An adversary with a much longer gradient than the others
    dictates the common step, however that is bargained for. After each step ``b_i <- b_i (m / |g_i|)^rate``, with ``m``
    the geometric mean of the lengths, held between ``floor`` and 1 times the full budget::

        budgets = AdaptiveBudgets([12.0, 0.5, 8 / 255])
        for x, y in loader:
            losses = [loss(attack(x, y, budget), y) for attack, budget in zip(attacks, budgets.values.tolist())]
            budgets.update(accord.backward(losses, shared=shared, balancer=balancer))

    Shapes: all ``[T]``. Cost O(T). Adversaries that are absent from a step, or without gradient, keep theirs.

    Args:
        budgets: full budgets, above 0, in any units.
        rate: in (0, 1], how fast lengths are evened out.
        floor: in (0, 1], the least share of its full budget that an adversary keeps.

    Source: Wang et al., Cooperation or Competition: Avoiding Player Domination for Multi-Target Robustness via Adaptive
    Budgets, 2023: multi-target robustness as a bargain, the domination of one player as what keeps max-based training
    from converging, and budgets as the means against it. The rule by which budgets move, its rate and its floor are
    ours and not the paper's schedule, and so is the choice never to exceed the full budgets.
    """

    method: ClassVar[Method] = Method(
        title="Adaptive budgets",
        paper="Cooperation or Competition: Avoiding Player Domination for Multi-Target Robustness via Adaptive Budgets",
        year=2023,
        url="https://arxiv.org/abs/2306.15482",
        needs="gramian",
        cost="O(T) after the Gramian",
        catalogue=(23,),
    )
    full: Tensor
    values: Tensor

    def __init__(self, budgets: Sequence[float], rate: float = 0.1, floor: float = 0.1) -> None:
        super().__init__()
        if not budgets or not all(0.0 < budget < math.inf for budget in budgets):
            raise ConfigurationError(f"budgets are one finite number above 0 per adversary; got {list(budgets)}")
        for name, value in (("rate", rate), ("floor", floor)):
            if not 0.0 < value <= 1.0:
                raise ConfigurationError(f"{name} must lie in (0, 1], 0.1 for one; got {value}")
        self.rate = rate
        self.floor = floor
        self.register_buffer("full", torch.tensor(budgets, dtype=torch.float64))
        self.register_buffer("values", torch.tensor(budgets, dtype=torch.float64))

    @torch.no_grad()
    def update(self, step: Step) -> None:
        """Set the budgets of the next step from what this one has seen.

        Raises:
            ConfigurationError: the step knows no Gramian, or is one of another number of tasks.
        """
        if step.gramian is None:
            raise ConfigurationError("the step has no Gramian: use an aggregator that looks at gradients, e.g. NashMTL")
        if len(step.names) != len(self.full):
            raise ConfigurationError(f"there are {len(self.full)} budgets but the step has {len(step.names)} tasks")
        lengths = step.gramian.diagonal().to(self.values).sqrt()
        seen = step.active.to(lengths.device) & (lengths > 0)
        if bool(seen.any()):
            logs = lengths[seen].log()
            moved = self.values[seen] * torch.exp(self.rate * (logs.mean() - logs))
            full = self.full[seen]
            self.values[seen] = torch.minimum(torch.maximum(moved, self.floor * full), full)

    def extra_repr(self) -> str:
        return f"rate={self.rate}, floor={self.floor}"
