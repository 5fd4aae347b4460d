"""The specification of a comparison: that of a run, and what is compared under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accord.comparing.ranges import Range, parse_range
from accord.comparing.spaces import SPACES
from accord.errors import ConfigurationError
from accord.registry import check_params, find, snake
from accord.training.strict import decode

ROOMS = ("weighting", "aggregation", "sharing", "sampling")


@dataclass(frozen=True)
class CompareSpec:
    """What is compared, with how much effort.

    Attributes:
        methods: names of methods of the rooms weighting, aggregation, sharing and sampling; ``mmoe+upgrad`` is a pair.
            Tuned plain weights and single-task models always take part.
        trials: tuning runs of every method, judged on the validation rows; the first has the learning rate of the
            specification and the method's defaults.
        seeds: fresh seeds that the best trial of every method is trained with, judged on the test rows.
        rate_factor: learning rates are searched within this factor of ``training.learning_rate``, 1 or more.
        rope: a difference in the relative gain of this many per cent does not matter.
        search: other ranges by method and option: a list of values, ``{low, high, scale: linear or log}``, or for a
            weight per task ``{simplex: concentration}``. An empty mapping searches the learning rate alone.
    """

    methods: tuple[str, ...]
    trials: int = 5
    seeds: int = 5
    rate_factor: float = 10.0
    rope: float = 0.5
    search: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.methods:
            raise ConfigurationError("no methods to compare: name some, e.g. methods: [cagrad, mmoe]")
        for name, value, low in (
            ("trials", self.trials, 1),
            ("seeds", self.seeds, 1),
            ("rate_factor", self.rate_factor, 1),
            ("rope", self.rope, 0),
        ):
            if not low <= value < float("inf"):
                raise ConfigurationError(f"compare.{name} must be at least {low}, not {value!r}")
        for method in self.search:
            self.space(method)

    def space(self, method: str) -> Mapping[str, Range]:
        """Return what is searched for ``method`` beside the learning rate.

        Raises:
            ConfigurationError: unknown method or option, or something that is no range.
        """
        cls = find(method, *ROOMS)
        name = snake(cls.__name__)
        given = {snake(find(key, *ROOMS).__name__): value for key, value in self.search.items()}.get(name)
        if given is None:
            return SPACES.get(name, {})
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"compare.search.{method} must be a mapping of options to ranges, not {given!r}")
        check_params(cls, given)
        return {option: parse_range(value, f"compare.search.{method}.{option}") for option, value in given.items()}


def parse_compare(data: Mapping[str, Any]) -> CompareSpec:
    """Return the checked section ``compare``."""
    return decode(CompareSpec, data, "compare")
