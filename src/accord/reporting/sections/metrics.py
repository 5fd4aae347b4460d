"""Every metric of every task on the test rows, joint against single."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accord.reporting.html import Markup, el
from accord.reporting.numbers import NONE, decimals, fixed, mean_interval
from accord.reporting.parts import Section, table, task_name
from accord.reporting.run import MetricInfo, Run, TaskInfo, mapping, sequence

Value = tuple[float, float]
_LEADS = {
    1: "On the test rows, one seed: how much another seed would differ is not known.",
    2: "On the test rows: mean of two seeds ± half their range, too few for an interval.",
    3: "On the test rows: mean over seeds ± half-width of the 95 % Student t interval over seeds.",
}


def metrics(run: Run) -> Section | None:
    """Return the table of test metrics, or ``None`` before the first evaluation."""
    if not run.part("test", "joint"):
        return None
    compared = bool(run.part("test", "single"))
    rows = [row for task in run.tasks for row in _rows(run, task, compared)]
    head = ["Task", "Metric", "Joint", *(["Single"] if compared else [])]
    lead = _LEADS.get(len(sequence(run.metrics.get("seeds"))), _LEADS[3])
    legend = "✓ marks the better mean, nothing more: the verdict says whether the difference is clear. "
    arrows = "↑ higher is better, ↓ lower is better."
    note = el("p", legend if compared else None, arrows, class_="note")
    return Section("metrics", "Metrics", el("div", table("Test metrics", head, rows, look="metrics"), note), lead)


def _infos(run: Run, task: TaskInfo) -> list[MetricInfo]:
    extra = [MetricInfo(key, key) for key in run.part("test", "joint", task.name) if key not in task.metrics]
    return sorted([*task.metrics.values(), *extra], key=lambda info: info.key != task.primary)


def _rows(run: Run, task: TaskInfo, compared: bool) -> list[list[object]]:
    rows = [_row(run, task, info, compared) for info in _infos(run, task)]
    return [[task_name(task) if i == 0 else None, *row] for i, row in enumerate(rows)]


def _row(run: Run, task: TaskInfo, info: MetricInfo, compared: bool) -> list[object]:
    joint, single = (_value(run, which, task, info) for which in ("joint", "single"))
    places = _places([joint, single] if compared else [joint])
    name = el("span", info.label, _arrow(info), el("small", " ", info.unit) if info.unit else None)
    better = _better(joint, single, info) if compared else ""
    cells = [_cell(joint, places, better == "joint")]
    cells += [_cell(single, places, better == "single")] if compared else []
    return [name, *cells]


def _value(run: Run, which: str, task: TaskInfo, info: MetricInfo) -> Value:
    values = mapping(run.metrics, "test", which, task.name).get(info.key)
    mean, half = mean_interval(values if isinstance(values, (list, tuple)) else [values])
    return mean * info.scale, half * abs(info.scale)


def _places(values: Sequence[Value]) -> int:
    halves = [half for _, half in values if math.isfinite(half) and half > 0]
    if halves:
        return min(decimals(max(halves)), 5)
    sizes = [abs(mean) for mean, _ in values if math.isfinite(mean) and mean]
    return min(max(3 - math.floor(math.log10(max(sizes))), 0), 5) if sizes else 3


def _better(joint: Value, single: Value, info: MetricInfo) -> str:
    if not (math.isfinite(joint[0]) and math.isfinite(single[0])) or joint[0] == single[0]:
        return ""
    return "joint" if (joint[0] > single[0]) == info.higher_is_better else "single"


def _cell(value: Value, places: int, better: bool) -> Markup:
    mean, half = value
    if not math.isfinite(mean):
        unknown = el("span", " not a number", class_="unseen")
        return el("span", NONE, unknown, el("span", class_="mark"), title="not a number")
    shown: list[object] = [fixed(mean, places)]
    shown += [el("span", f" ± {fixed(half, places)}", class_="half")] if math.isfinite(half) else []
    mark = ["✓", el("span", " better", class_="unseen")] if better else []
    return el("strong" if better else "span", shown, el("span", mark, class_="mark"))


def _arrow(info: MetricInfo) -> Markup:
    words = "higher is better" if info.higher_is_better else "lower is better"
    return el("span", " ", "↑" if info.higher_is_better else "↓", el("span", f" {words}", class_="unseen"), title=words)
