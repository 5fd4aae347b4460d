"""One aggregator per group of shared parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Literal

from torch import nn

from accord.balancer import Aggregator, Balancer, HeadWeights
from accord.errors import ConfigurationError, suggest


class PerGroup(Balancer):
    """Balance each group of shared parameters, a layer or a module, by itself: each has an aggregator and state.

    A group's aggregator sees the columns of the Jacobian that belong to its parameters, as if there were no others. A
    task that does not reach a group has a gradient of 0 there. Conflicts that cancel over the whole trunk are seen
    where they are, and one layer's large gradients do not decide for the others; on the other hand the promise of an
    aggregator (no conflict, say) holds for each group and, since inner products add up, for their sum, but what it
    optimises it optimises for each group alone::

        layers = {name: list(layer.parameters()) for name, layer in trunk.named_children()}
        balancer = accord.aggregation.PerGroup(accord.aggregation.GradVac(), layers)
        accord.backward(losses, shared=layers, balancer=balancer)

    Args:
        aggregators: one that every group gets a copy of, or one by name of group.
        groups: the names, where one aggregator is given; other mappings by name, like the one above, will do.

    Cost: that of its aggregators with P divided among them, one call of each per step. Engines that hold no Jacobian
    descend with one backward per group.

    Sources: Wang et al., Gradient Vaccine, 2021, whose targets are kept per layer; Yu et al., Gradient Surgery, 2020,
    treats all shared parameters as one vector, the default here.
    """

    def __init__(self, aggregators: Aggregator | Mapping[str, Aggregator], groups: Iterable[str] = ()) -> None:
        super().__init__()
        self.names = tuple(aggregators if isinstance(aggregators, Mapping) else groups)
        if isinstance(aggregators, Mapping) and tuple(groups):
            raise ConfigurationError("PerGroup was given aggregators by name and names of groups: leave groups out")
        if not self.names:
            raise ConfigurationError("PerGroup has no groups: pass their names, e.g. PerGroup(MGDA(), layers)")
        one_by_one = aggregators if isinstance(aggregators, Mapping) else dict.fromkeys(self.names, aggregators)
        for name, aggregator in one_by_one.items():
            _check(name, aggregator)
        self.members = nn.ModuleDict({_key(name): copy.deepcopy(one_by_one[name]) for name in self.names})
        if len(self.members) < len(self.names):
            raise ConfigurationError(f"groups may not differ in '.' and '/' alone; got {', '.join(self.names)}")
        if len({aggregator.heads for aggregator in one_by_one.values()}) > 1:
            raise ConfigurationError(
                "some of the aggregators let the heads descend the sum of the losses and some their mean: "
                "use methods of one kind"
            )
        self.heads: Literal["mean", "sum"] = one_by_one[self.names[0]].heads

    def __getitem__(self, name: str) -> Aggregator:
        """Return the aggregator of the group ``name``."""
        if name not in self.names:
            raise ConfigurationError(f"PerGroup has no group {name!r}. {suggest(name, self.names)}")
        member = self.members[_key(name)]
        assert isinstance(member, Aggregator)
        return member

    def check(self, groups: Iterable[str]) -> None:
        """Raise a :class:`ConfigurationError` unless ``groups`` are the ones this was made for."""
        given = set(groups)
        if not given:
            raise ConfigurationError(
                "PerGroup needs to know the groups: pass shared as a mapping, e.g. "
                "{name: list(layer.parameters()) for name, layer in trunk.named_children()}"
            )
        strange = [name for name in given if name not in self.names]
        missing = [name for name in self.names if name not in given]
        if strange or missing:
            first = f"shared has the group {strange[0]!r}" if strange else f"shared lacks the group {missing[0]!r}"
            raise ConfigurationError(f"{first}, but PerGroup was made for: {', '.join(self.names)}")


def _key(name: str) -> str:
    # Names of modules have dots, or are those of a dictionary's own methods; neither may name a submodule.
    return f"[{name.replace('.', '/')}]"


def _check(name: str, aggregator: object) -> None:
    if not isinstance(aggregator, Aggregator):
        raise ConfigurationError(
            f"the group {name!r} was given {aggregator!r}, which is no aggregator: weightings weigh whole losses, "
            "so they cannot differ between groups"
        )
    if isinstance(aggregator, HeadWeights):
        raise ConfigurationError(
            f"{type(aggregator).__name__} decides what the heads descend, which groups cannot do one by one: "
            "use it without PerGroup"
        )
