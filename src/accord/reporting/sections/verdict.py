"""Did sharing help? One sentence and one interval per task, all around the same zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite, percent
from accord.reporting.parts import Section, figure, table, task_name, tint
from accord.reporting.run import Run
from accord.reporting.svg.interval import interval, interval_axis, interval_scale
from accord.reporting.svg.scale import Scale
from accord.reporting.verdict import MARKS, WORDS, TaskVerdict, Verdict, read_verdict


def verdict(run: Run) -> Section:
    """Return the verdict; without baselines it says that there is none and what that means."""
    found = read_verdict(run)
    title = "Did sharing help?"
    if len(run.tasks) == 1 and not found.tasks:
        said = "There is one task, so nothing was shared and there is nothing to compare."
        return Section("verdict", title, el("p", said, class_="answer"))
    if not found.tasks and run.metrics.get("interrupted"):
        said = "Training was interrupted before joint and single-task models could be compared."
        return Section("verdict", title, el("p", said, class_="answer"))
    if not found.tasks:
        hint = el("p", "Set ", el("code", "evaluation.baselines: true"), " to train them under the same budget.")
        return Section("verdict", title, el("div", el("p", found.summary(), class_="answer"), hint))
    answer = el("p", found.summary(), class_="answer")
    return Section("verdict", title, el("div", answer, _overall(found), _picture(found, run), _paragraph(found)))


def _overall(found: Verdict) -> Markup | None:
    if found.delta_m is None:
        return None
    shown, _, bounds = found.delta_m.text("%").partition(" [")
    label = "delta-m: mean gain over single-task models, relative to them"
    return el("p", el("strong", shown, class_="big"), el("span", f"[{bounds}" if bounds else None, class_="bounds"),
              el("span", label, class_="big-label"), class_="overall")  # fmt: skip


def _picture(found: Verdict, run: Run) -> Markup:
    units: dict[str, list[TaskVerdict]] = {}
    for task in found.tasks:
        units.setdefault(task.unit, []).append(task)
    groups = [_group(unit, tasks) for unit, tasks in units.items()]
    title = "What sharing gained per task, with its interval"
    coverage = finite(run.part("verdict").get("confidence"))
    note = f"Whiskers are {percent(coverage)} intervals. " if math.isfinite(coverage) else ""
    note += "Right of zero the joint model is better, whichever way its metric counts; "
    note += "an interval that crosses zero is no clear difference."
    return figure("verdict-figure", title, groups, _numbers(found), note=note)


def _group(unit: str, tasks: Sequence[TaskVerdict]) -> Markup:
    ends = [abs(v) for t in tasks for v in (t.difference.value, t.difference.low, t.difference.high)]
    scale = interval_scale(max((v for v in ends if math.isfinite(v)), default=1.0) * 1.08)
    rows = [_row(task, scale) for task in tasks]
    axis = el("div", el("div", interval_axis(scale, unit), class_="plot"), class_="verdict-row axis-row")
    return el("div", el("ul", rows, class_="verdict-rows"), axis, class_="verdict-group")


def _row(entry: TaskVerdict, scale: Scale) -> Markup:
    d = entry.difference
    text = d.text(entry.unit)
    chip = el("span", f"{MARKS[entry.outcome]} {WORDS[entry.outcome]}", class_=f"chip {entry.outcome}")
    plot = interval(
        d.value,
        d.low,
        d.high,
        scale,
        look=f"{tint(entry.task.index)} {entry.outcome}",
        tip=f"{entry.task.name}\n{text}",
    )
    return el(
        "li",
        el("div", task_name(entry.task), chip, class_="who"),
        el("div", plot, class_="plot"),
        el("p", bdi(entry.sentence), class_="sentence"),
        class_="verdict-row",
    )


def _numbers(found: Verdict) -> Markup:
    rows = [
        [task_name(t.task), t.metric.label, t.difference.text(t.metric.unit), WORDS[t.outcome]] for t in found.tasks
    ]
    return table("Gain per task", ["Task", "Metric", "Gain of joint over single", "Outcome"], rows)


def _paragraph(found: Verdict) -> Markup | None:
    return el("p", found.paragraph, class_="honest") if found.paragraph else None
