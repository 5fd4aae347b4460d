"""The tables of a comparison: metrics, costs, the search, the specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accord.reporting.comparison.read import Contender
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import decimals, duration, finite, fixed, general, mean_interval, short
from accord.reporting.parts import Section, details, table, task_name
from accord.reporting.run import TaskInfo, mapping, sequence


def metrics(found: Mapping[str, Any], shown: Sequence[Contender], tasks: Sequence[TaskInfo]) -> Section | None:
    """Return the primary metric of every task by method, and delta-m."""
    if not shown:
        return None
    singles = [mapping(e) for e in sequence(found.get("entrants")) if mapping(e).get("kind") == "single"]
    head = ["Method", "Delta-m, %", *(el("span", task_name(t), " ", el("small", t.metric.label)) for t in tasks)]
    rows: list[list[object]] = [
        [bdi(one.name), one.delta_m.text() if one.delta_m else "–", *(_metric(one.facts, t) for t in tasks)]
        for one in shown
    ]
    if len(singles) == len(tasks):
        rows.append(["single-task models", "0", *(_metric(s, t) for s, t in zip(singles, tasks, strict=True))])
    lead = "On the test rows, means over seeds. Delta-m: mean relative gain over tuned single-task models."
    return Section("metrics", "Metrics", table("Metrics", head, rows), lead)


def _metric(facts: Mapping[str, Any], task: TaskInfo) -> object:
    mean, half = mean_interval(sequence(mapping(facts, "test", task.name).get(task.primary)))
    places = decimals(half) if half == half and half > 0 else 4
    return [fixed(mean, places), el("span", f" ± {fixed(half, places)}", class_="half") if half == half else None]


def costs(shown: Sequence[Contender]) -> Section | None:
    """Return what a run of each method cost."""
    if not shown:
        return None
    plain = next((finite(one.facts.get("seconds")) for one in shown if one.is_plain), float("nan"))
    rows = [
        [
            bdi(one.name),
            duration(seconds := finite(one.facts.get("seconds"))),
            f"{general(seconds / plain, 3)} ×" if plain > 0 else "–",
            f"{finite(one.facts.get('peak_memory_mb')):,.0f} MB",
            short(finite(one.facts.get("parameters"))),
        ]
        for one in shown
    ]
    head = ["Method", "Time of a run", "of plain weights'", "Peak memory", "Parameters"]
    lead = "Mean wall time of all its runs; memory of the whole process on a CPU, of the GPU where there is one."
    return Section("costs", "Costs", table("Costs", head, rows), lead)


def search(found: Mapping[str, Any], tasks: Sequence[TaskInfo]) -> Section:
    """Return every trial, folded, with the chosen one marked."""
    parts = [_trials(mapping(entry), tasks) for entry in sequence(found.get("entrants"))]
    lead = "Every setting that was tried, judged on the validation rows; the one that went to the test rows is marked."
    return Section("search", "Search", el("div", parts), lead)


def _trials(entry: Mapping[str, Any], tasks: Sequence[TaskInfo]) -> Markup:
    chosen = mapping(entry, "chosen").get("trial")
    own = [t for t in tasks if entry.get("kind") != "single" or entry.get("name") == f"single:{t.name}"]
    rows = [
        [
            f"{number + 1}{' (chosen)' if number == chosen else ''}",
            general(finite(mapping(trial).get("rate"))),
            ", ".join(f"{k} = {v}" for k, v in mapping(trial, "options").items()) or "defaults",
            *(general(finite(mapping(trial, "metrics", t.name).get(t.primary)), 4) for t in own),
        ]
        for number, trial in enumerate(sequence(entry.get("trials")))
    ]
    name = str(entry.get("name"))
    return details(bdi(name), table(f"Trials of {name}", ["Trial", "Rate", "Options", *(t.name for t in own)], rows))
