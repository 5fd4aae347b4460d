"""Reorder the units of one network so that its weights are as near as possible to another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.merging_method import Weights
from accord.merging.permuting.groups import Groups, Order
from accord.method import Method

# A reordering that gains less than this share of the weights' own inner products is rounding.
GAIN = 1e-12


class WeightMatching:
    """Bring networks that were trained apart into the order of the first, so that merging them means something.

    A network computes the same whatever the order of its hidden units. This looks for the order of each group that
    makes the weights' inner product with the reference largest: group by group a linear assignment, in turn until none
    gains. ``WeightMatching(groups)(models)`` returns the reordered states for any merging method. With more than two,
    each is matched to the mean of all others until no order changes.

    Cost: for each group and turn one product per tensor it lies in, and an assignment of the cube of its units.

    Args:
        groups: which axes are reordered together: from :func:`traced_groups`, :func:`sequential_groups`,
            :func:`transformer_groups`, or your own.
        turns: over all groups, at most.
        seed: of the order in which groups take their turns.

    Each turn raises the inner product, so that it ends; in what is rarely the very best of all orders. Fine-tunings of
    one base are in one order already and stay as they are. Statistics of batch normalisation are reordered; after
    merging they should be estimated anew.

    Source: Ainsworth, Hayase and Srinivasa, Git Re-Basin: Merging Models modulo Permutation Symmetries, 2023.
    """

    method: ClassVar[Method] = Method(
        title="Weight matching",
        paper="Git Re-Basin: Merging Models modulo Permutation Symmetries",
        year=2023,
        url="https://arxiv.org/abs/2209.04836",
        needs="parameters",
        cost="some 10 turns of linear assignment",
    )

    def __init__(self, groups: Groups, turns: int = 100, seed: int = 0) -> None:
        if turns < 1:
            raise ConfigurationError(f"turns is 1 or more; got {turns}")
        self.groups = groups
        self.turns = turns
        self.seed = seed

    def __call__(self, models: Sequence[Weights]) -> list[dict[str, Tensor]]:
        """Return the states of ``models``, all in the order of the first one's units.

        Raises:
            ConfigurationError: the groups do not fit a model.
        """
        states = [_state(model) for model in models]
        if not states:
            raise ConfigurationError("there is no model to bring into order")
        orders = self.orders(states)
        return [self.groups.permute(state, order) for state, order in zip(states, orders, strict=True)]

    @torch.no_grad()
    def orders(self, states: Sequence[Mapping[str, Tensor]]) -> list[Order]:
        """Return, for each state, the order of each group: place ``u`` is taken by unit ``order[u]``."""
        for state in states:
            self.groups.check(state)
        generator = np.random.default_rng(self.seed)
        found: list[Order] = [{} for _ in states]
        for _ in range(self.turns):
            changed = False
            for place in range(1, len(states)):
                others = [other for other in range(len(states)) if other != place] if len(states) > 2 else [0]
                reference = self._mean([states[other] for other in others], [found[other] for other in others])
                changed |= self._match(reference, states[place], found[place], generator)
            if not changed or len(states) == 2:
                break
        return found

    def _mean(self, states: Sequence[Mapping[str, Tensor]], orders: Sequence[Order]) -> dict[str, Tensor]:
        pairs = list(zip(states, orders, strict=True))
        return {
            name: torch.stack([self.groups.moved(name, state[name].double(), order) for state, order in pairs]).mean(0)
            for name in self.groups.axes
        }

    def _match(
        self,
        reference: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        order: Order,
        generator: np.random.Generator,
    ) -> bool:
        """Improve ``order`` until no group gains; return whether anything changed."""
        names, ever = list(self.groups.sizes), False
        for _ in range(self.turns):
            gained = False
            for place in generator.permutation(len(names)):
                gained |= self._assign(names[place], reference, state, order)
            ever |= gained
            if not gained:
                break
        return ever

    def _assign(self, group: str, reference: Mapping[str, Tensor], state: Mapping[str, Tensor], order: Order) -> bool:
        size = self.groups.sizes[group]
        likeness = np.zeros((size, size))
        for name, axis in self.groups.places(group):
            mine = self.groups.rows(self.groups.moved(name, state[name], order, but=axis), axis, group)
            likeness += (self.groups.rows(reference[name], axis, group) @ mine.T).cpu().numpy()
        best = assign(likeness)
        now = order.get(group, torch.arange(size)).numpy()
        units = np.arange(size)
        gain = likeness[units, best].sum() - likeness[units, now].sum()
        if gain <= GAIN * np.abs(likeness).sum():
            return False
        order[group] = torch.from_numpy(best)
        return True


def assign(likeness: np.ndarray) -> np.ndarray:
    """Return the order ``[n]`` with the largest sum of ``likeness[u, order[u]]``."""
    from scipy.optimize import linear_sum_assignment  # half a second that other merges should not pay

    return np.asarray(linear_sum_assignment(likeness, maximize=True)[1])


def _state(model: Weights) -> Mapping[str, Tensor]:
    return model.state_dict() if isinstance(model, nn.Module) else model
