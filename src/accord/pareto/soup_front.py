"""A front from fine-tunings of one network: their weights, interpolated over the simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.pa_mal import check_members
from accord.pareto.weight_space import WeightSpaceModel


class SoupFront(WeightSpaceModel):
    """Rewarded soup as a front: T networks, each trained for its own objective alone, and their interpolations.

    The solution for a preference ``w`` has the weights ``sum_t w_t theta_t``. Unlike in :class:`~accord.pareto.PaMaL`
    no mixture is ever trained: a step takes each member's own loss, so members may as well have been fine-tuned
    elsewhere, one after the other. That mixtures are any good rests on a common start: fine-tunings of one pre-trained
    network stay connected by a line along which losses hardly rise, those of different ones do not. Look at the front
    before using it::

        members = [copy.deepcopy(pretrained) for _ in range(2)]
        model = accord.pareto.SoupFront(members)
        ...                                                    # the loop of any preference model, or other runs
        points = accord.pareto.evaluate_front(model, accord.pareto.simplex_grid(2, 10), evaluate)

    The objectives are of one output as a rule, rewards of an answer for one. Heads for one task each are only trained
    in their own member, and every mixture thins them out with those that were not.

    Cost: a step T forwards and backwards, as T trainings have; a solution T P. Running statistics of norms are the
    first member's.

    Args:
        members: the T networks, of the same architecture, fine-tuned from one or about to be.

    Raises:
        ConfigurationError: the members' parameters differ in name or shape, or are shared.

    Source: Rame et al., Rewarded soups: towards Pareto-optimal alignment by interpolating weights fine-tuned on diverse
    rewards, 2023. Of checkpoints on disk, :class:`accord.merging.RewardedSoup` makes single points of the same front.
    """

    method: ClassVar[Method] = Method(
        title="Rewarded soup as a front",
        paper="Rewarded soups: towards Pareto-optimal alignment by interpolating weights fine-tuned on diverse rewards",
        year=2023,
        url="https://arxiv.org/abs/2306.04488",
        needs="losses",
        cost="T trainings, T networks of memory",
        catalogue=(107,),
    )

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(len(members), members[0] if members else nn.Identity())
        check_members(members)
        self.members = nn.ModuleList(members)

    @property
    def skeleton(self) -> nn.Module:
        return self.members[0]

    def weights(self, preference: Tensor) -> Mapping[str, Tensor]:
        named = [dict(member.named_parameters()) for member in self.members]
        return {name: torch.tensordot(preference, torch.stack([one[name] for one in named]), 1) for name in named[0]}

    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:  # noqa: ARG002 - the same throughout
        """Return the corners ``[T, T]``: every member alone."""
        return torch.eye(self.tasks)

    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        return (preferences.to(losses) * losses).sum(dim=-1).mean()

    def spread(self, preferences: Tensor, losses: Tensor) -> Tensor:
        """Return by how much the losses at mixtures exceed the mixtures of the corners' losses ``[n, T]``.

        At most 0 where losses are convex along the way; large, where members are not connected and the soup is spoilt.

        Args:
            preferences: ``[n, T]``, the corners among them.
            losses: ``[n, T]`` at these.

        Raises:
            ConfigurationError: a corner is missing.
        """
        at = [(preferences[:, task] == 1).nonzero().flatten() for task in range(self.tasks)]
        if not all(len(found) for found in at):
            raise ConfigurationError("the preferences must have every corner, one task alone, among them")
        corners = torch.stack([losses[int(found[0])] for found in at])
        return losses - preferences.to(losses) @ corners
