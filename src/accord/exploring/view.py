"""What the page shows of a front, as plain numbers: the stored points, the baselines and the axes to see them by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import RunError
from accord.exploring.axes import Axis, Column, by_place, make_axes, read_column
from accord.merging.fronts import of_merges
from accord.reporting.numbers import finite
from accord.reporting.run import TaskInfo, mapping, read_json_object, read_tasks, sequence

SINGLE = "single:"


@dataclass(frozen=True, eq=False)
class Baseline:
    """One model, or one model per task, to compare with; ``task`` is set where it knows a single task."""

    name: str
    task: int | None
    column: Column


@dataclass(frozen=True, eq=False)
class View:
    """A front as the page shows it.

    Attributes:
        name: of the directory.
        record: ``front.json`` as it is.
        tasks: in order; their places are their colours.
        axes: what the columns' numbers are.
        preferences: one per stored point, each with one share per task, summing to 1.
        columns: the numbers of the stored points.
        dominated: per stored point, whether another one is better in everything.
        knee: place of the knee among the points.
        baselines: to compare with.
    """

    name: str
    record: Mapping[str, Any]
    tasks: Sequence[TaskInfo]
    axes: Sequence[Axis]
    preferences: Sequence[tuple[float, ...]]
    columns: Sequence[Column]
    dominated: Sequence[bool]
    knee: int | None
    baselines: Sequence[Baseline]

    @property
    def steerable(self) -> bool:
        """Whether one model answers to any preference; else the nearest stored point does."""
        return self.record.get("kind") == "steerable"

    @property
    def merged(self) -> bool:
        """Whether the stored points are merged checkpoints, measured by an evaluation."""
        return of_merges(self.record)

    def measured(self, figures: Mapping[str, Any]) -> Column:
        """Return the numbers of losses and metrics by task."""
        return read_column(self.axes, by_place(self.tasks, figures))


def load_view(directory: str | Path) -> View:
    """Read ``front.json`` of a front directory.

    Raises:
        RunError: there is none, it is damaged, or it holds nothing to show.
    """
    directory = Path(directory)
    path = directory / "front.json"
    if not path.is_file():
        raise RunError(f"{directory} {_instead(directory)}")
    record = read_json_object(path)
    tasks = read_tasks(record, {}, path)
    points = [point for point in sequence(record.get("points")) if isinstance(point, Mapping)]
    if len(tasks) < 2 or not points:
        raise RunError(
            f"{path} has {len(tasks)} tasks and {len(points)} points: nothing to explore. An interrupted run goes on "
            "with accord front --resume."
        )
    placed = [by_place(tasks, point) for point in points]
    axes = make_axes(tasks, placed)
    knee = record.get("knee")
    return View(
        name=directory.resolve().name or "front",
        record=record,
        tasks=tasks,
        axes=axes,
        preferences=[_preference(point, i, len(tasks), path) for i, point in enumerate(points)],
        columns=[read_column(axes, one) for one in placed],
        dominated=[bool(point.get("dominated")) for point in points],
        knee=knee if isinstance(knee, int) and 0 <= knee < len(points) else None,
        baselines=list(_baselines(record, tasks, axes)),
    )


def _instead(directory: Path) -> str:
    if not directory.exists():
        return "does not exist: give the directory that accord front wrote"
    if not directory.is_dir():
        return "is a file: give the directory that accord front wrote"
    if (directory / "metrics.json").is_file():
        return "is the run of one model, not of a front: see accord report, or train a front with accord front"
    if (directory / "front.yaml").is_file():
        return "is an unfinished front: there is no front.json yet. Go on with accord front --resume"
    return "is not a front directory: it holds no front.json. accord front makes one"


def _preference(point: Mapping[str, Any], index: int, tasks: int, path: Path) -> tuple[float, ...]:
    shares = [finite(share) for share in sequence(point.get("preference"))]
    total = sum(shares)
    if len(shares) != tasks or not math.isfinite(total) or min(shares) < 0 or total <= 0:
        raise RunError(
            f"{path}: points[{index}].preference is {point.get('preference')!r}, not {tasks} shares that are not "
            "negative. Restore the file from a copy, or train the front again."
        )
    return tuple(share / total for share in shares)


def _baselines(record: Mapping[str, Any], tasks: Sequence[TaskInfo], axes: Sequence[Axis]):  # noqa: ANN202
    places = {task.name: task.index for task in tasks}
    for entry in sequence(record.get("baselines")):
        name = str(mapping(entry).get("name") or "baseline")
        column = read_column(axes, by_place(tasks, mapping(entry)))
        if any(map(math.isfinite, column.value)):
            yield Baseline(name, places.get(name.removeprefix(SINGLE)) if name.startswith(SINGLE) else None, column)
