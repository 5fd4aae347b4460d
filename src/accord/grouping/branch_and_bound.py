"""The best groups of up to twelve tasks, exactly."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from accord.errors import ConfigurationError
from accord.grouping.lattice import Option, members, options, submasks
from accord.grouping.partition import Array, Budget, Partition, Partitioner, arrange
from accord.method import Method

MOST_TASKS = 12
TOLERANCE = 1e-12


class BranchAndBound(Partitioner):
    """The groups of highest predicted gain within the budget, by branch and bound; up to 12 tasks.

    A branch serves the first task that is not served yet, together with some of the others, by one of the groups that
    hold them. What the rest can gain at most is bounded by Lagrangian relaxation of the budget: a dynamic programme
    over all subsets, with a price on cost that is chosen once, at the root, where it makes the bound least. A branch
    that reaches the same tasks with no more money and no more gain than an earlier one ends.

    Cost: O(3^T), some seconds for 12 tasks; worse only where the relaxation leaves a wide gap.

    Args:
        overlap: groups may hold tasks that another group serves, only because they help (as TAG's do).

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, 2021, and Standley et al.,
    Which Tasks Should Be Learned Together in Multi-task Learning?, 2020, who search the same space by branch and bound.
    """

    method: ClassVar[Method] = Method(
        title="Branch and bound",
        paper="Which Tasks Should Be Learned Together in Multi-task Learning?",
        year=2020,
        url="https://arxiv.org/abs/1905.07553",
        needs="nothing",
        cost="O(3^T), T up to 12",
    )

    def __init__(self, *, overlap: bool = True) -> None:
        self.overlap = overlap

    def check(self, tasks: int) -> None:
        if tasks > MOST_TASKS:
            raise ConfigurationError(
                f"branch and bound is for up to {MOST_TASKS} tasks, not {tasks}: take agglomerative or spectral"
            )

    def divide(self, helps: Array, budget: Budget) -> Partition:
        ways = options(helps, budget, overlap=self.overlap)
        search = _Search(ways, budget, len(helps))
        return arrange(helps, [_tasks(option.group, len(helps)) for option in search.run()])


class _Search:
    """Depth-first search over what is left to serve."""

    def __init__(self, ways: list[list[Option]], budget: Budget, tasks: int) -> None:
        self.ways, self.full = ways, (1 << tasks) - 1
        self.limit = budget.limit * (1 + 1e-9)
        self.parts = [_with_first(mask) for mask in range(self.full + 1)]
        self.price, self.bounds = self._price()
        self.best, self.chosen = -np.inf, [ways[self.full][0]]
        self.seen: dict[int, list[tuple[float, float]]] = {}

    def run(self) -> list[Option]:
        """Return the groups of the best partition; one group of all tasks is always among the candidates."""
        self.best = self.chosen[0].value
        self._branch(self.full, self.limit, 0.0, [])
        return self.chosen

    def _branch(self, left: int, money: float, gained: float, taken: list[Option]) -> None:
        if not left:
            if gained > self.best + TOLERANCE:
                self.best, self.chosen = gained, list(taken)
            return
        if self._dominated(left, money, gained):
            return
        children = [
            (gained + option.value + self._bound(left & ~part, money - option.cost), int(part), option)
            for part in self.parts[left]
            for option in self.ways[part]
            if option.cost <= money
        ]
        for bound, part, option in sorted(children, key=lambda child: -child[0]):
            if bound <= self.best + TOLERANCE:
                return
            self._branch(left & ~part, money - option.cost, gained + option.value, [*taken, option])

    def _dominated(self, left: int, money: float, gained: float) -> bool:
        before = self.seen.setdefault(left, [])
        if any(m >= money and g >= gained for m, g in before):
            return True
        before.append((money, gained))
        return False

    def _bound(self, left: int, money: float) -> float:
        if not left:
            return 0.0
        return float(self.bounds[left]) + self.price * money

    def _price(self) -> tuple[float, Array]:
        """Return the price on cost that bounds the root best, and the relaxed gains at that price.

        The bound is convex in the price and falls while what the relaxed optimum spends is more than the limit.
        """
        low, high = 0.0, self._highest_price()
        gains, spent = self._relaxed(low)
        if spent <= self.limit:
            return low, gains
        for _ in range(16):
            price = (low + high) / 2
            low, high = (price, high) if self._relaxed(price)[1] > self.limit else (low, price)
        return high, self._relaxed(high)[0]

    def _highest_price(self) -> float:
        """Return a price at which nothing beats the cheapest groups."""
        values = [option.value for ways in self.ways[1:] for option in ways]
        least = min(option.cost for ways in self.ways[1:] for option in ways)
        return 2 * len(self.ways[1:]) ** 0.5 * (max(values) - min(values) + TOLERANCE) / least

    def _relaxed(self, price: float) -> tuple[Array, float]:
        """Return by mask the most that its tasks gain less the price of what they cost, and what all of them cost."""
        chosen = [max(ways, key=lambda o: o.value - price * o.cost) for ways in self.ways[1:]]
        value = np.array([0.0, *(option.value - price * option.cost for option in chosen)])
        cost = np.array([0.0, *(option.cost for option in chosen)])
        gains, spent = np.zeros(self.full + 1), np.zeros(self.full + 1)
        for mask in range(1, self.full + 1):
            parts = self.parts[mask]
            worth = value[parts] + gains[mask ^ parts]
            best = int(worth.argmax())
            gains[mask] = worth[best]
            spent[mask] = cost[parts[best]] + spent[mask ^ parts[best]]
        return gains, float(spent[self.full])


def _with_first(mask: int) -> np.ndarray:
    """Return the subsets of ``mask`` that hold its lowest task."""
    lowest = mask & -mask
    return lowest | submasks(mask & ~lowest)


def _tasks(mask: int, tasks: int) -> list[int]:
    return np.flatnonzero(members(np.array([mask]), tasks)[0]).tolist()
