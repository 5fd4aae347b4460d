"""From runs to one row per method: metrics, delta-m, the paired difference to tuned plain weights, cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.study.methods import PLAIN, TUNED
from benchmarks.study.problem import METRICS, Kind, Sizes
from benchmarks.study.protocol import SINGLE
from benchmarks.study.results import Run
from benchmarks.study.statistics import Difference, Outcome, delta_m, outcome, paired

from accord.comparing.holm import holm


@dataclass(frozen=True)
class Row:
    """One method on one data set.

    Attributes:
        rate: the chosen learning rate; ``options`` the chosen options, empty for the defaults.
        metrics: mean over seeds by task.
        delta_m: over the single-task models, per cent.
        difference: in delta-m to tuned plain weights, by seed, percentage points.
        p: of that difference, corrected for the number of methods.
        cost: processor time of a step relative to the plain mean's.
    """

    name: str
    rate: float
    options: dict[str, Any]
    metrics: dict[str, float]
    delta_m: Difference
    difference: Difference
    p: float
    outcome: Outcome
    cost: float


@dataclass(frozen=True)
class Summary:
    """All that is known of one data set; the best method comes first.

    Attributes:
        failures: by method, why it could not be trained.
        missing: methods that have runs, here or on another data set, but not yet all of them here.
    """

    single: dict[str, float]
    rows: list[Row]
    failures: dict[str, str]
    missing: list[str]

    def named(self, *outcomes: Outcome) -> list[str]:
        """Return the methods with one of ``outcomes``, the reference itself left out."""
        return [row.name for row in self.rows if row.outcome in outcomes and row.name != TUNED]


def summarise(runs: Iterable[Run], problem: str, kind: Kind, sizes: Sizes, seeds: int) -> Summary | None:
    """Return the summary of the runs with these sizes; ``None`` while the references are not done.

    Methods with fewer than ``seeds`` tested seeds are left out.
    """
    every = list(runs)
    own = [run for run in every if run.problem == problem and run.sizes == asdict(sizes)]
    tested: dict[str, list[Run]] = {}
    for run in own:
        if run.stage == "test" and not run.failure:
            tested.setdefault(run.method, []).append(run)
    complete = {name: sorted(found, key=lambda run: run.seed) for name, found in tested.items() if len(found) == seeds}
    if TUNED not in complete or PLAIN not in complete:
        return None
    sign = 1.0 if METRICS[kind].higher_is_better else -1.0
    single = {task: value for name, found in complete.items() if _alone(name) for task, value in _means(found).items()}
    joint = {name: found for name, found in complete.items() if not _alone(name)}
    gains = {name: [delta_m(run.metrics, single, sign) for run in found] for name, found in joint.items()}
    gaps = {name: paired(values, gains[TUNED]) for name, values in gains.items()}
    corrected = holm({name: gap.p for name, gap in gaps.items() if name != TUNED}) | {TUNED: 1.0}
    cost = {name: statistics.median(run.cpu_ms for run in own if run.method == name) for name in joint}
    rows = [
        Row(
            name,
            found[0].rate,
            found[0].options,
            _means(found),
            paired(gains[name], [0.0] * seeds),
            gaps[name],
            corrected[name],
            outcome(gaps[name].mean, corrected[name]),
            cost[name] / cost[PLAIN],
        )
        for name, found in joint.items()
    ]
    rows.sort(key=lambda row: math.inf if math.isnan(row.difference.mean) else -row.difference.mean)
    failed = {run.method: run.failure for run in own if run.failure and run.method not in complete}
    missing = sorted({run.method for run in every if not _alone(run.method)} - set(joint) - set(failed))
    return Summary(single, rows, failed, missing)


def _alone(name: str) -> bool:
    return name.startswith(SINGLE)


def _means(runs: Sequence[Run]) -> dict[str, float]:
    return {task: statistics.fmean(run.metrics[task] for run in runs) for task in runs[0].metrics}
