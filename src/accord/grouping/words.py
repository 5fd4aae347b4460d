"""The honest paragraph: which groups, why, and whether they are worth it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {
    "together": "one model of all tasks",
    "random": "random groups of the same sizes",
    "singles": "a model for each task",
    "merged": "the same groups split from a joint model",
}


def paragraph(found: Mapping[str, Any]) -> str:
    """Return the summary of ``group.json`` (complete but for this) in words."""
    groups, budget = found["groups"], found["budget"]
    limit = f"{budget['limit']:g} {budget['unit']}"
    sizes = ", ".join(str(len(group["tasks"])) for group in groups)
    opening = (
        f"{_count(len(found['tasks']), 'task')} in {_count(len(groups), 'group')} of {sizes}, by "
        f"{found['affinity']['title']} within a budget of {limit}."
    )
    measured = found["measured"]
    if measured is None:
        return f"{opening} What the groups gain is a prediction: add --measure to train them and find out."
    by = {outcome: _those(measured, outcome) for outcome in ("better", "worse", "no clear difference")}
    said = [opening]
    said += [f"They are better than {_joined(by['better'])}."] if by["better"] else []
    said += [f"They are worse than {_joined(by['worse'])}."] if by["worse"] else []
    said += [f"No clear difference to {_joined(by['no clear difference'])}."] if by["no clear difference"] else []
    return " ".join([*said, *_advice(measured), *_caveats(found, measured)])


def _those(measured: Mapping[str, Any], outcome: str) -> list[str]:
    return [
        f"{NAMES[gap['other']]} ({_signed(gap['value'])} points of delta-m "
        f"[{_signed(gap['low'])}, {_signed(gap['high'])}])"
        for gap in measured["against"]
        if gap["outcome"] == outcome
    ]


def _advice(measured: Mapping[str, Any]) -> list[str]:
    outcomes = {gap["other"]: gap["outcome"] for gap in measured["against"]}
    if outcomes["together"] != "better":
        return ["One model of all tasks costs less and is not shown to be worse: that is the one to take."]
    if outcomes["random"] == "worse":
        return ["More models help, but random groups do better than these: the affinity misleads here."]
    if outcomes["random"] != "better":
        return ["More models help, but which tasks are together does not show: the affinity is not to be relied on."]
    if outcomes["singles"] == "worse":
        return ["Where accuracy is all that counts, train each task alone."]
    return []


def _caveats(found: Mapping[str, Any], measured: Mapping[str, Any]) -> list[str]:
    agreement = measured["agreement"]
    said = []
    if agreement:
        said.append(
            "Over tasks, predicted and measured gain over one model of all tasks correlate by "
            f"{_signed(agreement['spearman'])} (Spearman, p = {agreement['p']:.2g})."
        )
    seeds = measured["seeds"]
    luck = (
        "the luck of the test rows only" if seeds == 1 else "the luck of the test rows, the seeds and the random groups"
    )
    few = f" with {seeds} seeds that of the seeds is underestimated;" if 1 < seeds < 5 else ""
    said.append(
        f"Intervals ({100 * found['confidence']:.0f} %) cover {luck};{few} p-values are corrected for the number of "
        "comparisons."
    )
    return said


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
