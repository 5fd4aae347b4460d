"""What the groups are worth on the test rows, against all together, each alone, and random groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accord.comparing.choose import Measure, measures, relative_gain
from accord.comparing.holm import holm
from accord.comparing.records import Job, Record
from accord.comparing.results import estimate, p_value, resamples_for
from accord.grouping.contestants import Contestant, place
from accord.grouping.results import Proposal
from accord.grouping.study import GroupStudy
from accord.tasks import Scorer
from accord.training.prepare import Prepared
from accord.training.verdict import replicates

FIRST = "groups"


@dataclass
class Measured:
    """What ``group.json`` says under ``measured``, and what a reader must know of it."""

    facts: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def compare(
    study: GroupStudy,
    those: Sequence[Contestant],
    records: Mapping[Job, Record],
    prepared: Prepared,
    proposal: Proposal,
    joint_seconds: Mapping[int, float],
) -> Measured:
    """Return delta-m of every contestant, and how far the proposed groups are ahead of the others.

    Each resample draws test rows, the same for every contestant, task and seed, and seeds; with random groups, drawing
    a seed is also drawing another grouping.

    Args:
        study: what was asked.
        those: who was trained, the proposal first, the single-task models last.
        records: of all their runs.
        prepared: the data.
        proposal: the groups and their predicted gains.
        joint_seconds: by seed, what training before the split took.
    """
    seeds, e = study.group.seeds, study.spec.evaluation
    judged = measures(prepared.objectives)
    tasks = [
        t for t, m in enumerate(judged) if all(_finite(records[c.job(s, t)], m) for c in those for s in range(seeds))
    ]
    undefined = [judged[t].task for t in range(len(judged)) if t not in tasks]
    notes = [f"{name} is left out of delta-m: its metric is undefined in a run" for name in undefined]
    drawn, resamples = _resampled(study, those, records, prepared, judged, tasks)
    points = {c.key: [_mean(c, records, judged[t], t, seeds) for t in tasks] for c in those}
    gains = {c.key: [_gains(drawn, c.key, judged, t) for t in tasks] for c in those}
    totals = {key: np.mean(lines, axis=0) if lines else np.zeros(1) for key, lines in gains.items()}
    values = {key: _delta_m(found, points["singles"], [judged[t] for t in tasks]) for key, found in points.items()}
    facts: dict[str, Any] = {
        "seeds": seeds,
        "resamples": resamples,
        "contestants": [
            {
                "key": c.key,
                "name": c.name,
                "cost": c.cost(proposal.budget),
                "models": len(c.partitions[0].groups),
                "seconds": _seconds(c, records, seeds, joint_seconds),
                "delta_m": estimate(values[c.key], totals[c.key], e.confidence) if c.key != "singles" else None,
                "test": {
                    m.task: {m.metric: [m.of(records[c.job(s, t)]) for s in range(seeds)]} for t, m in enumerate(judged)
                },
            }
            for c in those
        ],
        "against": _against(values, totals, e.confidence),
        "tasks": [
            {
                "task": judged[t].task,
                "metric": judged[t].metric,
                "predicted": proposal.partition.gains[t] - proposal.together.gains[t],
                "gain": estimate(
                    relative_gain(points[FIRST][i], points["singles"][i], judged[t].sign),
                    gains[FIRST][i],
                    e.confidence,
                ),
                "over_together": estimate(
                    relative_gain(points[FIRST][i], points["together"][i], judged[t].sign),
                    _relative(drawn[FIRST, t], drawn["together", t], judged[t].sign),
                    e.confidence,
                ),
            }
            for i, t in enumerate(tasks)
        ],
    }
    facts["agreement"] = agreement(facts["tasks"])
    return Measured(facts, notes)


def agreement(tasks: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return Spearman's correlation of predicted and measured gain over all together; ``None`` below 4 tasks."""
    from scipy import stats

    pairs = [(task["predicted"], task["over_together"]["value"]) for task in tasks]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    if len(pairs) < 4 or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
        return None
    predicted, measured = zip(*pairs, strict=True)
    rho, p = np.asarray(stats.spearmanr(predicted, measured)).tolist()
    return {"spearman": rho, "p": p, "tasks": len(pairs)}


def _against(values: Mapping[str, float], totals: Mapping[str, np.ndarray], confidence: float) -> list[dict[str, Any]]:
    """Return how far the proposal is ahead of each other contestant, in points of delta-m."""
    others = [key for key in values if key != FIRST]
    p = {key: p_value(totals[FIRST] - totals[key]) for key in others}
    corrected = holm(p)
    found = []
    for key in others:
        gap = estimate(values[FIRST] - values[key], totals[FIRST] - totals[key], confidence)
        sure = corrected[key] < 1 - confidence
        outcome = "no clear difference" if not sure else "better" if gap["value"] > 0 else "worse"
        found.append({"other": key, **gap, "p": p[key], "p_holm": corrected[key], "outcome": outcome})
    return found


def _resampled(
    study: GroupStudy,
    those: Sequence[Contestant],
    records: Mapping[Job, Record],
    prepared: Prepared,
    judged: Sequence[Measure],
    tasks: Sequence[int],
) -> tuple[dict[tuple[str, int], np.ndarray], int]:
    e, rows = study.spec.evaluation, len(prepared.parts["test"])
    ledger = study.ledger
    predictions = {job: ledger.predictions(record) for job, record in records.items()}
    targets = [target.take(prepared.parts["test"]) for target in prepared.targets]

    def scorer(job: Job, t: int) -> Scorer:
        encoder = prepared.objectives.encoders[t]
        return encoder.scorer(judged[t].metric, predictions[job][place(job, t)], targets[t])

    models = [(c.key, t) for c in those for t in tasks]
    scorers = [[scorer(c.job(s, t), t) for s in range(study.group.seeds)] for c in those for t in tasks]
    resamples = resamples_for(e.resamples, rows * sum(map(len, scorers)), len(those) - 1, 1 - e.confidence)
    drawn = replicates(scorers, rows, resamples, np.random.default_rng(study.spec.seed)) if scorers else []
    return dict(zip(models, drawn, strict=True)), resamples


def _finite(record: Record, measure: Measure) -> bool:
    return math.isfinite(measure.of(record))


def _mean(one: Contestant, records: Mapping[Job, Record], measure: Measure, task: int, seeds: int) -> float:
    return float(np.mean([measure.of(records[one.job(s, task)]) for s in range(seeds)]))


def _relative(ours: np.ndarray, theirs: np.ndarray, sign: float) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sign * 100.0 * (ours - theirs) / np.abs(theirs)


def _gains(drawn: Mapping[tuple[str, int], np.ndarray], key: str, judged: Sequence[Measure], task: int) -> np.ndarray:
    return _relative(drawn[key, task], drawn["singles", task], judged[task].sign)


def _delta_m(ours: Sequence[float], single: Sequence[float], judged: Sequence[Measure]) -> float:
    each = [relative_gain(a, b, m.sign) for a, b, m in zip(ours, single, judged, strict=True)]
    return float(np.mean(each)) if each else math.nan


def _seconds(one: Contestant, records: Mapping[Job, Record], seeds: int, joint: Mapping[int, float]) -> float:
    """Return the training time of one seed, with its share of what came before the split."""
    before = sum(joint.values()) / seeds if one.kind == "split" else 0.0
    return before + sum(records[job].seconds for job in one.jobs(seeds)) / seeds
