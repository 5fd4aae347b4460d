"""Makes front directories without training: seeded closed-form fronts, so that what the page must say is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any

import numpy as np

AUC = {"label": "AUC", "higher_is_better": True, "unit": "points", "scale": 100.0}
RECALL = {"label": "recall", "higher_is_better": True, "unit": "", "scale": 1.0}
RMSE = {"label": "RMSE", "higher_is_better": False, "unit": "h", "scale": 1.0}

Json = dict[str, Any]


def grid(tasks: int, steps: int) -> list[list[float]]:
    """All preferences with shares that are multiples of ``1 / steps``."""
    found = []
    for cuts in combinations_with_replacement(range(steps + 1), tasks - 1):
        edges = [0, *cuts, steps]
        found.append([(b - a) / steps for a, b in pairwise(edges)])
    return sorted(found, reverse=True)


def task(name: str, *, error: bool = False) -> Json:
    """A binary task with AUC and recall, or a regression with RMSE."""
    metrics = {"rmse": RMSE} if error else {"auc": AUC, "recall": RECALL}
    return {
        "name": name,
        "kind": "regression" if error else "binary",
        "primary": next(iter(metrics)),
        "metrics": metrics,
    }


def figures(tasks: Sequence[Json], shares: Sequence[float]) -> Json:
    """What a solution reaches: each task's loss is convex in its share, and its metrics follow its loss."""
    losses = {
        t["name"]: 0.1 + 0.02 * i + 0.3 * (1 - share) ** 2
        for i, (t, share) in enumerate(zip(tasks, shares, strict=True))
    }
    return {"losses": losses, "metrics": {t["name"]: _metrics(t, losses[t["name"]]) for t in tasks}}


def _metrics(one: Json, loss: float) -> Json:
    if "rmse" in one["metrics"]:
        return {"rmse": _interval(20 * loss, 0.4)}
    return {"auc": _interval(1 - loss / 2, 0.004), "recall": _interval(0.95 - loss, 0.01)}


def _interval(value: float, half: float) -> Json:
    return {"value": value, "low": value - half, "high": value + half}


def make_record(
    tasks: Sequence[Json], *, steps: int = 10, kind: str = "steerable", baselines: bool = True, **more: Any
) -> Json:
    """A whole ``front.json``."""
    preferences = grid(len(tasks), steps)
    points = [{"preference": p, **figures(tasks, p), "split": "validation", "dominated": False} for p in preferences]
    names = [t["name"] for t in tasks]
    rng = np.random.default_rng(0)
    cosines = np.eye(len(tasks))
    for a in range(len(tasks)):
        for b in range(a):
            cosines[a, b] = cosines[b, a] = rng.uniform(-0.8, 0.6)
    record: Json = {
        "accord": "0.1.0",
        "created": "2026-11-22T14:32:05+00:00",
        "interrupted": False,
        "kind": kind,
        "method": "cosmos",
        "tasks": list(tasks),
        "seeds": [0],
        "rows": {"train": 8000, "validation": 2000, "test": 2000, "live": 2000},
        "confidence": 0.95,
        "points": points,
        "knee": _middle(preferences),
        "warnings": [],
        "notes": [],
        "paragraph": "One model covers 0.4 [0.2, 0.6] per cent more than separate models at the same budget.",
    }
    if baselines:
        equal = figures(tasks, [0.8 / len(tasks)] * len(tasks))
        record["baselines"] = [{"name": "balanced", **equal, "split": "validation"}]
        record["baselines"] += [_single(tasks, i) for i in range(len(tasks))]
        record["cosines"] = {"tasks": names, "matrix": cosines.tolist()}
    return record | more


def _single(tasks: Sequence[Json], place: int) -> Json:
    name = tasks[place]["name"]
    whole = figures(tasks, [0.93] * len(tasks))
    return {
        "name": f"single:{name}",
        "losses": {name: whole["losses"][name]},
        "metrics": {name: whole["metrics"][name]},
        "split": "validation",
    }


def _middle(preferences: Sequence[Sequence[float]]) -> int:
    tasks = len(preferences[0])
    return min(range(len(preferences)), key=lambda i: sum((share - 1 / tasks) ** 2 for share in preferences[i]))


def write_front(directory: Path, record: Json) -> Path:
    """Write ``front.json`` and return the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "front.json").write_text(json.dumps(record), encoding="utf-8")
    return directory


def census() -> list[Json]:
    """Two tasks."""
    return [task("income"), task("marital_stat")]


def clinic(count: int = 5) -> list[Json]:
    """Up to five tasks of two kinds."""
    names = ["readmitted_30d", "length_of_stay", "mortality", "sepsis", "icu_transfer_within_48_hours"]
    return [task(name, error=name == "length_of_stay") for name in names[:count]]


def hostile() -> list[Json]:
    """Names that are markup, very long, or written from right to left."""
    return [task("<script>alert(1)</script>"), task("W" * 90), task("العربية \u202e &quot;")]
