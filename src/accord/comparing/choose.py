"""Which trial of each entrant goes to the test rows: the best on the validation rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accord.comparing.entrants import Entrant
from accord.comparing.records import Record
from accord.comparing.study import Study
from accord.errors import RunError
from accord.tasks import Objectives


@dataclass(frozen=True)
class Measure:
    """What one task is judged by: its primary metric, and 1 where more of it is better, else -1."""

    task: str
    metric: str
    sign: float

    def of(self, record: Record) -> float:
        """Return the metric of a record, NaN where it is undefined."""
        return record.metric(self.task, self.metric)


def measures(objectives: Objectives) -> list[Measure]:
    """Return one per task, in order."""
    found = ((e.task.name, e.task.primary, e.metrics()[e.task.primary]) for e in objectives.encoders)
    return [Measure(task, primary, 1.0 if metric.higher_is_better else -1.0) for task, primary, metric in found]


def relative_gain(value: float, against: float, sign: float) -> float:
    """Return by how many per cent ``value`` is better than ``against``; NaN where that is undefined."""
    return sign * 100.0 * (value - against) / abs(against) if against else math.nan


def delta_m(record: Record, reference: Mapping[str, float], judged: Sequence[Measure]) -> float:
    """Return the mean relative gain of a joint model over ``reference`` (a value by task) in per cent."""
    return sum(relative_gain(m.of(record), reference[m.task], m.sign) for m in judged) / len(judged)


def choose(study: Study, tried: Mapping[str, Sequence[Record]], judged: Sequence[Measure]) -> dict[str, int | None]:
    """Return by key of the entrant the number of its best trial; ``None`` where every trial failed or diverged.

    Joint models are chosen for delta-m against the best single-task models on the same rows; the first of equals wins.

    Args:
        study: who takes part.
        tried: by key, the records of all trials in order.
        judged: what the tasks are judged by.

    Raises:
        RunError: a single-task model could not be trained, so that there is nothing to compare with.
    """
    chosen: dict[str, int | None] = {}
    reference: dict[str, float] = {}
    for entrant in study.entrants:
        records = tried[entrant.key]
        if entrant.task is None:
            chosen[entrant.key] = _best([delta_m(record, reference, judged) for record in records])
            continue
        measure = judged[entrant.task]
        best = _best([measure.sign * measure.of(record) for record in records])
        if best is None:
            raise RunError(f"no trial of {entrant.name} could be judged: {_why(entrant, records)}")
        chosen[entrant.key], reference[measure.task] = best, measure.of(records[best])
    return chosen


def _best(scores: Sequence[float]) -> int | None:
    usable = [number for number, score in enumerate(scores) if math.isfinite(score)]
    return max(usable, key=lambda number: scores[number]) if usable else None


def _why(entrant: Entrant, records: Sequence[Record]) -> str:
    failures = dict.fromkeys(record.failure for record in records if record.failure)
    return "; ".join(failures) or f"its metric is undefined on the validation rows of task {entrant.task}"
