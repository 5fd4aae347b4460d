"""``metrics.json``: what the test rows say about every model of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from accord import __version__
from accord.tasks import Reliability, Target, reliability
from accord.training.environment import describe
from accord.training.evaluate import score
from accord.training.member import Member
from accord.training.prepare import Prepared, only
from accord.training.spec import Spec
from accord.training.verdict import Contest, Verdict, judge, paragraph


@dataclass
class Members:
    """The models that were trained: ``joint[s]`` and ``single[s][t]`` for seed ``s`` and task ``t``."""

    seeds: list[int] = field(default_factory=list)
    joint: list[Member] = field(default_factory=list)
    single: list[list[Member]] = field(default_factory=list)

    @property
    def interrupted(self) -> bool:
        """Whether any of them was stopped early by a person."""
        return any(m.interrupted for m in [*self.joint, *(m for row in self.single for m in row)])


def collect(spec: Spec, prepared: Prepared, members: Members, device: torch.device) -> dict[str, Any]:
    """Return the content of ``metrics.json`` (see docs/run-directory.md)."""
    test = prepared.parts["test"]
    targets = [target.take(test) for target in prepared.targets]
    complete = len(members.single) == len(members.joint) and bool(members.single) and not members.interrupted
    found: dict[str, Any] = {
        "accord": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "interrupted": members.interrupted,
        "tasks": [describe_task(encoder) for encoder in prepared.objectives.encoders],
        "seeds": members.seeds,
        "rows": {name: len(rows) for name, rows in prepared.parts.items()},
        "test": {"joint": _joint_scores(prepared, members, targets)},
        "calibration": _calibration(prepared, members, targets),
        "cost": {"joint": _cost([[m] for m in members.joint])},
        "warnings": warnings(prepared, members),
        "notes": list(prepared.notes),
        "leakage": [asdict(leak) for leak in prepared.leaks],
        "environment": describe(device),
    }
    if complete:
        found["test"]["single"] = _single_scores(prepared, members, targets)
        found["cost"]["single"] = _cost(members.single)
        found["verdict"] = _verdict(spec, prepared, members, targets, found["cost"])
    return found


def describe_task(encoder: Any) -> dict[str, Any]:
    """Return what a reader of the metrics must know of a task: its kind, its primary metric, and how metrics read."""
    metrics = encoder.metrics()
    shown = {
        name: {
            "label": metrics[name].label,
            "higher_is_better": metrics[name].higher_is_better,
            "unit": metrics[name].unit,
            "scale": metrics[name].scale,
        }
        for name in encoder.task.metrics
    }
    return {"name": encoder.task.name, "kind": encoder.task.kind, "primary": encoder.task.primary, "metrics": shown}


def _joint_scores(prepared: Prepared, members: Members, targets: Sequence[Target]) -> dict[str, Any]:
    return _by_metric([score(prepared.objectives, m.predictions, targets) for m in members.joint])


def _single_scores(prepared: Prepared, members: Members, targets: Sequence[Target]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for t, target in enumerate(targets):
        objectives = only(prepared, t).objectives
        found |= _by_metric([score(objectives, row[t].predictions, [target]) for row in members.single])
    return found


def _by_metric(per_seed: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Turn a list over seeds of ``{task: {metric: value}}`` into ``{task: {metric: [value per seed]}}``."""
    first = per_seed[0]
    return {task: {name: [seed[task][name] for seed in per_seed] for name in first[task]} for task in first}


def _calibration(prepared: Prepared, members: Members, targets: Sequence[Target]) -> dict[str, Any]:
    found = {}
    for t, (encoder, target) in enumerate(zip(prepared.objectives.encoders, targets, strict=True)):
        curves = reliability(encoder, members.joint[0].predictions[t], target)
        if curves:
            found[encoder.task.name] = [_plain(curve) for curve in curves]
    return found


def _plain(curve: Reliability) -> dict[str, Any]:
    arrays = {name: getattr(curve, name).tolist() for name in ("count", "confidence", "frequency")}
    return {"label": curve.label, "ece": curve.ece, **arrays}


def _cost(members: Sequence[Sequence[Member]]) -> dict[str, float]:
    """Return costs per seed: sums over the models of a seed, means over seeds.

    ``rows_per_second`` is how fast the data goes through all models of a seed together, so that both sides compare.
    """
    facts = [[m.facts for m in row] for row in members]
    seconds = float(np.mean([sum(f["seconds"] for f in row) for row in facts]))
    rows = float(np.mean([np.mean([f["rows"] for f in row]) for row in facts]))
    return {
        "seconds": seconds,
        "rows_per_second": rows / max(seconds, 1e-9),
        "parameters": int(sum(f["parameters"] for f in facts[0])),
        "peak_memory_mb": max(f["peak_memory_mb"] for row in facts for f in row),
    }


def _verdict(
    spec: Spec, prepared: Prepared, members: Members, targets: Sequence[Target], cost: Mapping[str, Any]
) -> dict[str, Any]:
    rows = len(prepared.parts["test"])
    contests = [_contest(prepared, members, targets, t) for t in range(len(targets))]
    e = spec.evaluation
    verdict: Verdict = judge(contests, rows=rows, resamples=e.resamples, confidence=e.confidence, seed=spec.seed)
    text = paragraph(verdict, seeds=len(members.seeds), rows=rows, confidence=e.confidence, cost=cost)
    return {**asdict(verdict), "confidence": e.confidence, "paragraph": text}


def _contest(prepared: Prepared, members: Members, targets: Sequence[Target], t: int) -> Contest:
    joint, single = prepared.objectives.encoders[t], only(prepared, t).objectives.encoders[0]
    name = joint.task.primary
    return Contest(
        joint.task.name,
        joint.metrics()[name],
        [joint.scorer(name, m.predictions[t], targets[t]) for m in members.joint],
        [single.scorer(name, row[t].predictions[0], targets[t]) for row in members.single],
    )


def warnings(prepared: Prepared, members: Members) -> list[str]:
    """Return what a reader must know before believing the rest: leaks first."""
    found = [str(leak) for leak in prepared.leaks]
    if members.interrupted:
        found.append("Training was interrupted: the figures are those of an unfinished run, and there is no verdict.")
    for member, name in [(m, "joint") for m in members.joint] + [
        (m, f"single-task {prepared.objectives.names[t]}") for row in members.single for t, m in enumerate(row)
    ]:
        for task, steps in member.facts["skipped"].items():
            found.append(f"In the {name} model {task} was left out of {steps:,} steps: loss or gradient not finite.")
    return found
