"""The answer to "did sharing help?", read from ``metrics.json`` once and said the same way everywhere."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.reporting.numbers import decimals, finite, fixed
from accord.reporting.run import MetricInfo, Run, TaskInfo, mapping, read_tasks, sequence

Outcome = Literal["helped", "hurt", "unclear"]
MARKS: Mapping[Outcome, str] = {"helped": "▲", "hurt": "▼", "unclear": "="}
PLAIN: Mapping[Outcome, str] = {"helped": "+", "hurt": "-", "unclear": "="}  # any terminal can show these
WORDS: Mapping[Outcome, str] = {"helped": "helped", "hurt": "hurt", "unclear": "no clear difference"}

_VERBS: Mapping[Outcome, str] = {"helped": "helped", "hurt": "hurt", "unclear": "made no clear difference to"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, already in display units; NaN where unknown."""

    value: float
    low: float
    high: float

    def text(self, unit: str = "") -> str:
        """Return ``+0.40 points [+0.20, +0.60]`` with the digits that the interval supports."""
        places = min(decimals((self.high - self.low) / 2 if self.known else abs(self.value) / 10), 4)
        shown = " ".join(filter(None, [fixed(self.value, places, sign=True), unit]))
        if not self.known:
            return shown
        return f"{shown} [{fixed(self.low, places, sign=True)}, {fixed(self.high, places, sign=True)}]"

    @property
    def known(self) -> bool:
        """Whether both ends of the interval are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """One task's difference, joint minus single, positive when joint is better."""

    task: TaskInfo
    metric: MetricInfo
    outcome: Outcome
    difference: Estimate
    sentence: str

    @property
    def unit(self) -> str:
        """What the difference is counted in, e.g. ``AUC points``."""
        return " ".join(filter(None, [self.metric.label, self.metric.unit]))


@dataclass(frozen=True, slots=True)
class Verdict:
    """All tasks, the overall gain in per cent, and the paragraph that says how far to trust them."""

    tasks: Sequence[TaskVerdict]
    delta_m: Estimate | None
    paragraph: str

    def summary(self) -> str:
        """Return one sentence over all tasks."""
        if not self.tasks:
            return "Whether sharing helped is not known: no single-task models were trained to compare with."
        count: dict[Outcome, int] = {o: sum(t.outcome == o for t in self.tasks) for o in WORDS}
        total = len(self.tasks)
        all_of = {1: "the task", 2: "both tasks"}.get(total, f"all {total} tasks")
        none_of = {1: "the task", 2: "either task"}.get(total, f"any of the {total} tasks")
        told: list[str] = []
        for outcome, n in count.items():
            rest = "the other" if total == 2 else f"{n}"
            whole = none_of if outcome == "unclear" else all_of
            what = whole if n == total else rest if told else f"{n} of {total} tasks"
            told += [f"{_VERBS[outcome]} {what}"] if n else []
        return f"Sharing {', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}."


def read_verdict(run: Run) -> Verdict:
    """Read the verdict of a run; empty where baselines were not asked for."""
    return _read(run.metrics, run.tasks)


def verdict_text(metrics: Mapping[str, Any]) -> str:
    """Return the verdict as plain text for a terminal: summary, one line per task, the paragraph, warnings.

    Args:
        metrics: the content of ``metrics.json``.

    Returns:
        Lines of at most 96 characters where words allow it, without colour or control characters.
    """
    verdict = _read(metrics, read_tasks(metrics, {}, Path("metrics.json")))
    blocks = [[verdict.summary()]]
    if verdict.delta_m:
        blocks[0].append(f"Delta-m, the mean relative gain: {verdict.delta_m.text('%')}")
    blocks.append([f"  {PLAIN[t.outcome]} {t.sentence}" for t in verdict.tasks])
    blocks.append([verdict.paragraph] if verdict.paragraph else [])
    blocks.append([f"Warning: {warning}" for warning in sequence(metrics.get("warnings"))])
    return "\n\n".join("\n".join(map(_wrapped, block)) for block in blocks if block)


def _wrapped(line: str) -> str:
    indent = "    " if line.startswith("  ") else ""
    return textwrap.fill(printable(line), 96, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def printable(text: object) -> str:
    """Return text without characters that could move a terminal's cursor or reorder a line."""
    return (
        re.sub("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", " ", str(text))
        .encode("utf-8", "replace")
        .decode("utf-8")
    )


def _read(metrics: Mapping[str, Any], tasks: Sequence[TaskInfo]) -> Verdict:
    facts = mapping(metrics, "verdict")
    by_name = {task.name: task for task in tasks}
    entries = [mapping(entry) for entry in sequence(facts.get("tasks"))]
    judged = [_judge(entry, by_name[str(entry.get("task"))]) for entry in entries if str(entry.get("task")) in by_name]
    overall = mapping(facts, "delta_m")
    estimate = Estimate(*(finite(overall.get(key)) for key in ("value", "low", "high")))
    return Verdict(judged, estimate if math.isfinite(estimate.value) else None, str(facts.get("paragraph") or ""))


def _judge(entry: Mapping[str, Any], task: TaskInfo) -> TaskVerdict:
    metric = task.metrics.get(str(entry.get("metric") or task.primary)) or task.metric
    # A difference already says which way is better, so only the size of the scale matters here.
    estimate = Estimate(*(finite(entry.get(key)) * abs(metric.scale) for key in ("difference", "low", "high")))
    said = str(entry.get("outcome") or "")
    outcome: Outcome = "helped" if said == "helped" else "hurt" if said == "hurt" else "unclear"
    sentence = str(entry.get("sentence") or f"{task.name}: {WORDS[outcome]}.")
    return TaskVerdict(task, metric, outcome, estimate, sentence)
