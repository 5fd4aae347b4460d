"""``front.json``: what the rows say about a front and the models that it is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord import __version__
from accord.pareto import non_dominated
from accord.steering.hypervolumes import hypervolumes, no_skill
from accord.steering.measure import Resamples, measure
from accord.steering.rows import Rows
from accord.steering.train import Baseline, Field, Trained
from accord.steering.words import paragraph
from accord.training.environment import describe
from accord.training.prepare import only
from accord.training.problem import all_outputs
from accord.training.results import describe_task
from accord.training.verdict import Array, resampled_counts

# Resamples of the live rows, so that a new preference is answered while people drag, and at most of the test rows.
LIVE_RESAMPLES, TEST_RESAMPLES = 100, 200


def collect(field: Field, trained: Sequence[Trained], kept: Trained, test: Rows) -> dict[str, Any]:
    """Return the content of ``front.json`` (see docs/design.md).

    Args:
        field: what all models have in common.
        trained: the models of every seed.
        kept: those of the seed that was kept.
        test: the rows that nothing was chosen by.
    """
    prepared, e = field.prepared, field.context.spec.evaluation
    points = [_point(field, kept, index, test) for index in range(len(kept.front.preferences))]
    losses = torch.tensor([[point["losses"][name] for name in prepared.objectives.names] for point in points])
    for point, good in zip(points, undominated(losses), strict=True):
        point["dominated"] = not good
    found: dict[str, Any] = {
        "accord": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "interrupted": any(one.interrupted for one in trained) or field.context.stop.requested,
        "kind": kept.front.kind,
        "method": field.blueprint.front.method,
        "tasks": [describe_task(encoder) for encoder in prepared.objectives.encoders],
        "seeds": [one.seed for one in trained],
        "saved_seed": kept.seed,
        "rows": {**{name: len(rows) for name, rows in prepared.parts.items()}, "live": len(field.live)},
        "confidence": e.confidence,
        "reference": field.reference.tolist(),
        "points": points,
        "knee": knee(losses),
        "hypervolume": hypervolumes(
            _complete(trained),
            prepared,
            test,
            no_skill(prepared.objectives, test.targets),
            resamples=e.resamples,
            confidence=e.confidence,
            seed=field.context.spec.seed,
        ),
        "cost": {"front": _cost([[one.facts] for one in trained])},
        "warnings": _warnings(field, trained),
        "notes": list(prepared.notes),
        "environment": describe(field.context.device),
    }
    if kept.baselines:
        found["baselines"] = [_baseline(field, baseline, test) for baseline in kept.baselines]
        found["cost"]["baselines"] = _cost([[b.facts for b in one.baselines] for one in trained if one.baselines])
        if cosines := _cosines(field):
            found["cosines"] = cosines
    found["paragraph"] = paragraph(found)
    return found


def undominated(losses: Tensor) -> list[bool]:
    """Return which of ``losses`` ``[n, T]`` no other dominates; one that is not finite is dominated."""
    good = losses.isfinite().all(dim=1)
    if good.any():
        good[good.clone()] = non_dominated(losses[good].double())
    return good.tolist()


def knee(losses: Tensor) -> int | None:
    """Return which of ``losses`` ``[n, T]`` is the front's knee: the least sum of losses, each brought to 0..1.

    For two tasks that is the point farthest from the line through the front's ends. ``None`` where the front has fewer
    than three points or all are on that line.
    """
    good = torch.tensor(undominated(losses))
    front = losses[good].double()
    if len(front.unique(dim=0)) < 3:
        return None
    low, high = front.min(dim=0).values, front.max(dim=0).values
    sums = ((front - low) / (high - low).clamp(min=torch.finfo(torch.float64).tiny)).sum(dim=1)
    # At an end, one task is at its best and with two tasks the other one at its worst.
    best = int(sums.argmin())
    return None if float(sums[best]) >= 1.0 - 1e-9 else int(good.nonzero().squeeze(1)[best])


def resamples(rows: int, count: int, seed: int) -> Resamples:
    """Return resamples of ``rows`` rows, ``count`` in all after the rows themselves, the same on every call."""

    def draw() -> Iterator[Array]:
        first, *others = resampled_counts(rows, count, np.random.default_rng(seed))
        yield np.concatenate([np.ones((1, rows), first.dtype), first])
        yield from others

    return draw


def live_resamples(live: Rows) -> Resamples:
    """Return the resamples of the live rows that intervals come from, in a run and when it is asked later."""
    return resamples(len(live), LIVE_RESAMPLES, 0)


def _point(field: Field, kept: Trained, index: int, test: Rows) -> dict[str, Any]:
    preference = kept.front.preferences[index]
    objectives, e = field.prepared.objectives, field.context.spec.evaluation
    outputs = kept.front.outputs(field.live, preference)
    live = measure(objectives, outputs, field.live.targets, live_resamples(field.live), e.confidence)
    judged = measure(
        objectives,
        kept.front.outputs(test, preference),
        test.targets,
        resamples(len(test), min(e.resamples, TEST_RESAMPLES), 0),
        e.confidence,
    )
    return {
        "preference": preference.tolist(),
        **live.to_dict(),
        "split": "validation",
        "test": judged.to_dict(),
    }


def _baseline(field: Field, baseline: Baseline, test: Rows) -> dict[str, Any]:
    e = field.context.spec.evaluation
    prepared = field.prepared if baseline.task is None else only(field.prepared, baseline.task)
    found = {}
    for name, rows, count in (("live", field.live, LIVE_RESAMPLES), ("test", test, min(e.resamples, TEST_RESAMPLES))):
        outputs = all_outputs(baseline.model, rows.features, torch.arange(len(rows)), torch.device("cpu"))
        targets = rows.targets if baseline.task is None else [rows.targets[baseline.task]]
        draws = resamples(len(rows), count, 0)
        found[name] = measure(prepared.objectives, outputs, targets, draws, e.confidence).to_dict()
    return {"name": baseline.name, **found["live"], "split": "validation", "test": found["test"]}


def _complete(trained: Sequence[Trained]) -> list[Trained]:
    """Return the seeds that have as many models as the first, so that all are compared on the same seeds."""
    most = len(trained[0].baselines)
    return [one for one in trained if len(one.baselines) == most]


def _cost(facts: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    return {
        "seconds": float(np.mean([sum(f["seconds"] for f in row) for row in facts])),
        "parameters": int(sum(f["parameters"] for f in facts[0])),
        "peak_memory_mb": max(f["peak_memory_mb"] for row in facts for f in row),
    }


def _cosines(field: Field) -> dict[str, Any] | None:
    """Return the mean cosine of every pair of tasks over the balanced model's training."""
    names = list(field.prepared.objectives.names)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run, _, _, _, _, phase, name, task, other, value in field.context.history.records:
        if run == "joint" and phase == "train" and name == "cosine":
            found[task, other].append(value)
    if not found:
        return None
    matrix = np.eye(len(names))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            values = found.get((a, b), []) + found.get((b, a), [])
            if i != j:
                matrix[i, j] = np.mean(values) if values else np.nan
    return {"tasks": names, "matrix": matrix.tolist()}


def _warnings(field: Field, trained: Sequence[Trained]) -> list[str]:
    found = [str(leak) for leak in field.prepared.leaks]
    if field.context.stop.requested or any(one.interrupted for one in trained):
        found.append("Training was interrupted: the figures are those of an unfinished run.")
    for one in trained:
        for task, steps in one.facts["skipped"].items():
            what = "all tasks were" if task == "(all)" else f"{task} was"
            found.append(
                f"In the front of seed {one.seed} {what} left out of {steps:,} steps: loss or gradient not finite."
            )
    return found
