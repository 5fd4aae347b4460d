"""``compare.json``: what the records say about every method, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from accord import __version__
from accord.comparing.choose import Measure, relative_gain
from accord.comparing.entrants import Entrant
from accord.comparing.holm import holm
from accord.comparing.ranks import rank
from accord.comparing.records import Ledger, Record
from accord.comparing.signed_rank import signed_rank
from accord.comparing.spaces import PLAIN
from accord.comparing.study import Study
from accord.comparing.words import paragraph
from accord.tasks import Scorer
from accord.training.environment import describe
from accord.training.prepare import Prepared, only
from accord.training.results import describe_task
from accord.training.strict import encode
from accord.training.verdict import interval, replicates

# Rows times resamples that all predictions together may cost.
MAX_DRAWS = 4e9


@dataclass(frozen=True)
class Entry:
    """One entrant with its records: all trials, and the test runs of the chosen one (empty where it is out)."""

    entrant: Entrant
    trials: Sequence[Record]
    chosen: int | None
    tests: Sequence[Record]

    def out(self, judged: Sequence[Measure]) -> str:
        """Return why there is nothing to compare, empty where there is."""
        failures = [record.failure for record in (*self.trials, *self.tests) if record.failure]
        if self.chosen is None:
            return failures[0] if failures else "every trial diverged: no finite metric on the validation rows"
        if any(record.failure for record in self.tests):
            return next(record.failure for record in self.tests if record.failure)
        tasks = [judged[self.entrant.task]] if self.entrant.task is not None else judged
        finite = all(math.isfinite(measure.of(record)) for record in self.tests for measure in tasks)
        return "" if finite else "a test run diverged: its metric is not finite"


def collect(
    study: Study,
    entries: Sequence[Entry],
    prepared: Prepared,
    judged: Sequence[Measure],
    device: torch.device,
    effort: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the content of ``compare.json`` (see docs/design.md).

    Args:
        study: what was asked.
        entries: one per entrant, in the order of the study.
        prepared: the data.
        judged: what the tasks are judged by.
        device: of training.
        effort: what the comparison took.
        notes: what a reader must know about the records.
    """
    reasons = {entry.entrant.key: entry.out(judged) for entry in entries}
    usable = [entry for entry in entries if not reasons[entry.entrant.key]]
    e = study.spec.evaluation
    found: dict[str, Any] = {
        "accord": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "compare": encode(study.compare),
        "tasks": [describe_task(encoder) for encoder in prepared.objectives.encoders],
        "rows": {name: len(rows) for name, rows in prepared.parts.items()},
        "confidence": e.confidence,
        "entrants": [_facts(entry, reasons[entry.entrant.key]) for entry in entries],
        "effort": dict(effort),
        "warnings": [str(leak) for leak in prepared.leaks],
        "notes": [*prepared.notes, *notes],
        "environment": describe(device),
    }
    if all(not reasons[entry.entrant.key] for entry in entries if _is_reference(entry)):
        by_key = {facts["key"]: facts for facts in found["entrants"]}
        found["resamples"] = _judge(study, usable, prepared, judged, by_key)
        found["ranks"] = _ranks(usable, judged, 1 - e.confidence)
    found["paragraph"] = paragraph(found)
    return found


def _is_reference(entry: Entry) -> bool:
    return entry.entrant.task is not None or entry.entrant.key == PLAIN


def _facts(entry: Entry, reason: str) -> dict[str, Any]:
    chosen = None if entry.chosen is None else entry.trials[entry.chosen]
    runs = [record for record in (*entry.trials, *entry.tests) if not record.failure]
    return {
        "key": entry.entrant.key,
        "name": entry.entrant.name,
        "kind": "single" if entry.entrant.task is not None else "plain" if entry.entrant.key == PLAIN else "method",
        "out": reason,
        "chosen": chosen and {"trial": entry.chosen, "rate": chosen.rate, "options": dict(chosen.options)},
        "trials": [
            {"rate": r.rate, "options": dict(r.options), "metrics": dict(r.metrics), "failure": r.failure}
            for r in entry.trials
        ],
        "test": _by_metric(entry.tests) if entry.tests and not reason else {},
        "seconds": float(np.mean([r.seconds for r in runs])) if runs else None,
        "total_seconds": sum(r.seconds for r in runs),
        "peak_memory_mb": max((r.peak_memory_mb for r in runs), default=None),
        "parameters": chosen.parameters if chosen else None,
    }


def _by_metric(tests: Sequence[Record]) -> dict[str, dict[str, list[float]]]:
    first = tests[0].metrics
    return {task: {name: [r.metric(task, name) for r in tests] for name in first[task]} for task in first}


def _judge(
    study: Study,
    entries: Sequence[Entry],
    prepared: Prepared,
    judged: Sequence[Measure],
    facts: Mapping[str, dict[str, Any]],
) -> int:
    """Add to ``facts`` what the test rows say of every joint model; return the number of resamples."""
    e, rows = study.spec.evaluation, len(prepared.parts["test"])
    joint = [entry for entry in entries if entry.entrant.task is None]
    methods = [entry for entry in joint if entry.entrant.key != PLAIN]
    models = [(entry.entrant.key, t) for entry in entries for t in _tasks(entry, judged)]
    scorers = [_scorers(study.ledger, entry, prepared, t) for entry in entries for t in _tasks(entry, judged)]
    resamples = resamples_for(e.resamples, rows * sum(map(len, scorers)), len(methods), 1 - e.confidence)
    drawn = dict(zip(models, replicates(scorers, rows, resamples, np.random.default_rng(study.spec.seed)), strict=True))
    single = {t: drawn[entry.entrant.key, t] for entry in entries if (t := entry.entrant.task) is not None}
    gains = {entry.entrant.key: _gains(drawn, entry.entrant.key, single, judged) for entry in joint}
    points = _points(entries, judged)
    for entry in joint:
        key = entry.entrant.key
        facts[key]["delta_m"] = estimate(points[key], gains[key], e.confidence)
    p = {entry.entrant.key: p_value(gains[entry.entrant.key] - gains[PLAIN]) for entry in methods}
    corrected = holm(p)
    plain = next(entry for entry in joint if entry.entrant.key == PLAIN)
    for entry in methods:
        key = entry.entrant.key
        gap = estimate(points[key] - points[PLAIN], gains[key] - gains[PLAIN], e.confidence)
        sure = corrected[key] < 1 - e.confidence
        outcome = "no clear difference" if not sure else "better" if gap["value"] > 0 else "worse"
        facts[key]["against_plain"] = {**gap, "p": p[key], "p_holm": corrected[key], "outcome": outcome}
        facts[key]["bayes"] = asdict(signed_rank(_blockwise(entry, plain, judged), study.compare.rope))
        facts[key]["tasks"] = [
            {"task": m.task, "metric": m.metric, **_task_gap(entry, plain, drawn, t, m, e.confidence)}
            for t, m in enumerate(judged)
        ]
    return resamples


def resamples_for(asked: int, cost: float, methods: int, level: float) -> int:
    """Return how many resamples to draw: as many as asked for, fewer where they would cost too much.

    Never so few that no p-value could pass Holm's correction for the number of methods.
    """
    least = max(200, math.ceil(4 * methods / level))
    return max(least, int(min(asked, MAX_DRAWS / max(1.0, cost))))


def _tasks(entry: Entry, judged: Sequence[Measure]) -> Sequence[int]:
    return range(len(judged)) if entry.entrant.task is None else (entry.entrant.task,)


def _scorers(ledger: Ledger, entry: Entry, prepared: Prepared, t: int) -> list[Scorer]:
    of = prepared if entry.entrant.task is None else only(prepared, t)
    place = t if entry.entrant.task is None else 0
    encoder, target = of.objectives.encoders[place], prepared.targets[t].take(prepared.parts["test"])
    name = encoder.task.primary
    return [encoder.scorer(name, ledger.predictions(record)[place], target) for record in entry.tests]


def _gains(
    drawn: Mapping[tuple[str, int], np.ndarray], key: str, single: Mapping[Any, np.ndarray], judged: Sequence[Measure]
) -> np.ndarray:
    """Return delta-m ``[R]`` of one joint model in every resample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lines = [m.sign * 100 * (drawn[key, t] - single[t]) / np.abs(single[t]) for t, m in enumerate(judged)]
    return np.mean(lines, axis=0)


def _points(entries: Sequence[Entry], judged: Sequence[Measure]) -> dict[str, float]:
    """Return delta-m of every joint model on the test rows, from means over seeds."""

    def mean(entry: Entry, m: Measure) -> float:
        return float(np.mean([m.of(record) for record in entry.tests]))

    single = {
        entry.entrant.task: mean(entry, judged[entry.entrant.task])
        for entry in entries
        if entry.entrant.task is not None
    }
    return {
        entry.entrant.key: float(
            np.mean([relative_gain(mean(entry, m), single[t], m.sign) for t, m in enumerate(judged)])
        )
        for entry in entries
        if entry.entrant.task is None
    }


def estimate(value: float, drawn: np.ndarray, confidence: float) -> dict[str, float]:
    """Return ``value`` with the percentile interval of its resamples ``drawn [R]``."""
    low, high = interval(drawn, confidence)
    return {"value": value, "low": low, "high": high}


def p_value(drawn: np.ndarray) -> float:
    """Return the two-sided bootstrap p-value of no difference; resamples where it is undefined do not count."""
    finite = drawn[np.isfinite(drawn)]
    rarer = min(int((finite <= 0).sum()), int((finite >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(finite)))


def _blockwise(entry: Entry, plain: Entry, judged: Sequence[Measure]) -> list[float]:
    """Return the relative gain over plain weights in per cent, for every task and seed where it is defined."""
    pairs = zip(entry.tests, plain.tests, strict=True)
    gaps = [relative_gain(m.of(ours), m.of(theirs), m.sign) for ours, theirs in pairs for m in judged]
    return [gap for gap in gaps if math.isfinite(gap)]


def _task_gap(
    entry: Entry,
    plain: Entry,
    drawn: Mapping[tuple[str, int], np.ndarray],
    t: int,
    measure: Measure,
    confidence: float,
) -> dict[str, float]:
    ours, theirs = (float(np.mean([measure.of(record) for record in side.tests])) for side in (entry, plain))
    gaps = measure.sign * (drawn[entry.entrant.key, t] - drawn[plain.entrant.key, t])
    return estimate(measure.sign * (ours - theirs), gaps, confidence)


def _ranks(entries: Sequence[Entry], judged: Sequence[Measure], level: float) -> dict[str, Any] | None:
    joint = [entry for entry in entries if entry.entrant.task is None]
    if len(joint) < 2:
        return None
    scores = {entry.entrant.key: [m.sign * m.of(record) for record in entry.tests for m in judged] for entry in joint}
    found = rank(scores, level=level)
    pairs = [{"first": a, "second": b, "p_holm": p} for (a, b), p in found.pairs.items()]
    return {**asdict(found), "pairs": pairs, "enough": found.enough}
