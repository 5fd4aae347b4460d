"""A run directory as the report reads it: strict about damage, relaxed about what is absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from accord.errors import RunError
from accord.reporting.history import History


@dataclass(frozen=True)
class MetricInfo:
    """How one metric is named and shown; shown numbers are ``value * scale`` in ``unit``."""

    key: str
    label: str
    higher_is_better: bool = True
    unit: str = ""
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class TaskInfo:
    """One task; ``index`` is its place in the run and decides its colour everywhere."""

    index: int
    name: str
    kind: str = ""
    primary: str = ""
    metrics: Mapping[str, MetricInfo] = field(default_factory=dict)

    @property
    def metric(self) -> MetricInfo:
        """The primary metric."""
        return self.metrics.get(self.primary) or MetricInfo(self.primary, self.primary)


@dataclass(frozen=True)
class Run:
    """Everything that the sections draw from."""

    name: str
    metrics: Mapping[str, Any]
    tasks: Sequence[TaskInfo]
    history: History = field(default_factory=History)
    spec_text: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)

    def part(self, *path: str) -> Mapping[str, Any]:
        """Return the mapping at ``path`` of ``metrics.json``; empty when it is absent or not a mapping."""
        return mapping(self.metrics, *path)

    def option(self, *path: str) -> Any:
        """Return one option of the specification, or ``None``."""
        return mapping(self.spec, *path[:-1]).get(path[-1])


def load_run(directory: str | Path) -> Run:
    """Read a run directory; an interrupted run may lack any file but one of the first three.

    Raises:
        RunError: the directory holds no run, or a file in it is damaged.
    """
    directory = Path(directory)
    files = {name: directory / name for name in ("metrics.json", "history.parquet", "spec.yaml", "features.json")}
    if not any(files[name].is_file() for name in ("metrics.json", "history.parquet", "spec.yaml")):
        raise RunError(f"{directory} is not a run directory: it holds no metrics.json, history.parquet or spec.yaml")
    metrics, features = read_json_object(files["metrics.json"]), read_json_object(files["features.json"])
    text, spec = _yaml(files["spec.yaml"])
    return Run(
        name=directory.resolve().name or "run",
        metrics=metrics,
        tasks=read_tasks(metrics, spec, files["metrics.json"]),
        history=_history(files["history.parquet"]),
        spec_text=text,
        spec=spec,
        features=features,
    )


def mapping(value: object, *path: str) -> Mapping[str, Any]:
    """Follow ``path`` through nested mappings; empty where it ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """Return ``value`` when it is a list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


TRAIN_AGAIN = "Train again, or restore the file from a copy"


def read_json_object(path: Path, remedy: str = TRAIN_AGAIN) -> Mapping[str, Any]:
    """Return the JSON object in ``path``, empty where there is no such file; ``remedy`` says what helps if damaged.

    Raises:
        RunError: it is damaged or no object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}. {remedy}.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def _yaml(path: Path) -> tuple[str, Mapping[str, Any]]:
    if not path.is_file():
        return "", {}
    try:
        text = path.read_text(encoding="utf-8")
        value = yaml.safe_load(text)
    except (ValueError, OSError, RecursionError, yaml.YAMLError) as error:
        raise RunError(f"{path} is damaged: {error}. Restore the file from a copy.") from error
    return text, value if isinstance(value, dict) else {}


def _history(path: Path) -> History:
    if not path.is_file():
        return History()
    # Imported here because a run without a history can be reported without the table engine.
    from accord.data import read_parquet

    try:
        return History.from_columns(read_parquet(path))
    except KeyError as error:
        raise RunError(f"{path} has no column {error}: it is not the history of a run") from error


def read_tasks(metrics: Mapping[str, Any], spec: Mapping[str, Any], path: Path) -> list[TaskInfo]:
    """Return the tasks that ``metrics.json`` (at ``path``) lists, else those of the specification.

    Raises:
        RunError: an entry has no name.
    """
    # Before the first evaluation there is no metrics.json, but the specification already names the tasks.
    entries = sequence(metrics.get("tasks")) or sequence(spec.get("tasks"))
    tasks = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise RunError(f"{path}: task {index} must be an object with a name, not {entry!r}")
        infos = {str(k): _metric(str(k), v) for k, v in mapping(entry, "metrics").items()}
        primary = str(entry.get("primary") or next(iter(infos), ""))
        tasks.append(TaskInfo(index, str(entry["name"]), str(entry.get("kind") or ""), primary, infos))
    return tasks


def _metric(key: str, entry: object) -> MetricInfo:
    facts = mapping(entry)
    scale = facts.get("scale")
    usable = isinstance(scale, (int, float)) and 1e-12 <= abs(scale) <= 1e12
    return MetricInfo(
        key=key,
        label=str(facts.get("label") or key),
        higher_is_better=bool(facts.get("higher_is_better", True)),
        unit=str(facts.get("unit") or ""),
        scale=float(scale) if usable and scale is not None else 1.0,
    )
