"""A comparison's directory with invented results, complete and true to docs/design.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

METRIC = {"label": "AUC", "higher_is_better": True, "unit": "points", "scale": 100.0}
OUTCOMES = ("better", "worse", "no clear difference")


def write_comparison_directory(
    directory: Path,
    methods: Sequence[str],
    tasks: Sequence[str] = ("income", "marital_stat"),
    *,
    notes: Sequence[str] = (),
) -> Path:
    """Write ``compare.json`` and ``compare.yaml``; the last method failed where there are more than two."""
    directory.mkdir(parents=True)
    single = [entrant(f"single-{i}", f"single:{task}", "single", [task]) for i, task in enumerate(tasks)]
    plain = {**entrant("fixed", "fixed", "plain", tasks), "delta_m": spread(0.3)}
    joint = [method(name, i, tasks) for i, name in enumerate(methods)]
    if len(methods) > 2:
        joint[-1] = {**joint[-1], "out": "RuntimeError: it broke <b>badly</b>", "test": {}, "chosen": None}
        del joint[-1]["delta_m"], joint[-1]["against_plain"]
    ranked = {one["key"]: 1.0 + i for i, one in enumerate([plain, *joint]) if not one["out"]}
    found = {
        "accord": "0.1.0",
        "created": "2026-11-21T14:32:05+00:00",
        "compare": {"methods": list(methods), "trials": 3, "seeds": 5, "rate_factor": 10.0, "rope": 0.5, "search": {}},
        "tasks": [{"name": t, "kind": "binary", "primary": "auc", "metrics": {"auc": METRIC}} for t in tasks],
        "rows": {"train": 70_000, "validation": 10_000, "test": 20_000},
        "confidence": 0.95,
        "entrants": [*single, plain, *joint],
        "effort": {"jobs": 2, "made_now": 30, "training_seconds_now": 90.0, "wall_seconds_now": 50.0},
        "resamples": 1000,
        "ranks": {
            "mean": ranked,
            "blocks": 10,
            "needed": 6,
            "enough": True,
            "friedman": 0.03,
            "critical_difference": 0.8,
            "pairs": [],
            "cliques": [list(ranked)[:2]],
        },
        "paragraph": f"{len(methods)} methods against tuned plain weights on {tasks[0]}.",
        "warnings": [],
        "notes": list(notes),
        "environment": {},
    }
    (directory / "compare.json").write_text(json.dumps(found), "utf-8")
    (directory / "compare.yaml").write_text("compare:\n  methods: [cagrad]\ntraining:\n  epochs: 3\n", "utf-8")
    return directory


def entrant(key: str, name: str, kind: str, tasks: Sequence[str]) -> dict[str, Any]:
    metrics = {task: {"auc": 0.91} for task in tasks}
    trials = [{"rate": 0.001 * 3**n, "options": {"c": 0.4} if n else {}, "metrics": metrics} for n in range(3)]
    return {
        "key": key,
        "name": name,
        "kind": kind,
        "out": "",
        "chosen": {"trial": 1, "rate": 0.003, "options": {"c": 0.4}},
        "trials": [{**trial, "failure": ""} for trial in trials],
        "test": {task: {"auc": [0.90, 0.91, 0.92, 0.91, 0.90]} for task in tasks},
        "seconds": 12.5,
        "total_seconds": 100.0,
        "peak_memory_mb": 510.0,
        "parameters": 123_456,
    }


def method(name: str, index: int, tasks: Sequence[str]) -> dict[str, Any]:
    sign = (1, -1, 0.1)[index % 3]
    return {
        **entrant(name, name, "method", tasks),
        "delta_m": spread(0.3 + sign),
        "against_plain": {**spread(sign), "p": 0.01, "p_holm": 0.02, "outcome": OUTCOMES[index % 3]},
        "bayes": {"worse": 0.1, "equal": 0.3, "better": 0.6},
        "tasks": [{"task": task, "metric": "auc", **spread(0.001 * sign)} for task in tasks],
    }


def spread(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.4, "high": value + 0.4}
