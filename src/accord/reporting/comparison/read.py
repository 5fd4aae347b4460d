"""``compare.json`` as the page and the terminal read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.reporting.numbers import finite
from accord.reporting.run import TaskInfo, mapping, read_tasks, sequence
from accord.reporting.verdict import Estimate

Outcome = Literal["better", "worse", "no clear difference"]
# Marks and looks of the report of a run, whose words are helped and hurt.
LOOKS: Mapping[str, str] = {"better": "helped", "worse": "hurt", "no clear difference": "unclear"}
PLAIN_NAME = "tuned plain weights"


@dataclass(frozen=True, eq=False)
class Contender:
    """One joint model; estimates are in per cent (points of delta-m), ``None`` where there is no verdict."""

    name: str
    facts: Mapping[str, Any]
    delta_m: Estimate | None
    gap: Estimate | None
    outcome: str

    @property
    def is_plain(self) -> bool:
        """Whether these are the weights that all others are compared with."""
        return self.facts.get("kind") == "plain"

    def probabilities(self) -> tuple[float, float, float]:
        """Return how probable it is that this method is worse, practically equal, and better; NaN where unknown."""
        found = mapping(self.facts, "bayes")
        return finite(found.get("worse")), finite(found.get("equal")), finite(found.get("better"))


def estimate(facts: object) -> Estimate | None:
    """Return ``{value, low, high}`` as an estimate, ``None`` where it has no value."""
    found = Estimate(*(finite(mapping(facts).get(key)) for key in ("value", "low", "high")))
    return found if found.value == found.value else None


def contenders(found: Mapping[str, Any]) -> list[Contender]:
    """Return the joint models with a result, the best delta-m first."""
    made = []
    for entry in map(mapping, sequence(found.get("entrants"))):
        if entry.get("kind") in ("plain", "method") and not entry.get("out"):
            name = PLAIN_NAME if entry["kind"] == "plain" else str(entry.get("name"))
            gap = mapping(entry, "against_plain")
            made.append(
                Contender(name, entry, estimate(entry.get("delta_m")), estimate(gap), str(gap.get("outcome") or ""))
            )
    return sorted(made, key=lambda one: -one.delta_m.value if one.delta_m else float("inf"))


def tasks_of(found: Mapping[str, Any]) -> Sequence[TaskInfo]:
    """Return the tasks of a comparison."""
    return read_tasks(found, {}, Path("compare.json"))
