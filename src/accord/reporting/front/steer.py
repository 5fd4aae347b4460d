"""How far each task can be steered: its metric against its share of the preference, beside the baselines."""

from __future__ import annotations

from accord.reporting.front.marks import bounds, look, tip
from accord.reporting.front.read import FrontShown, value_text
from accord.reporting.html import Markup, el
from accord.reporting.parts import Section, figure, table, task_name
from accord.reporting.run import TaskInfo
from accord.reporting.svg.scatter import Mark, Rule, Scatter, scatter

SIZE = (360, 260)
TASKS = 12


def steer(front: FrontShown) -> Section:
    """Return a panel per task."""
    panels = [_panel(front, task) for task in front.tasks[:TASKS]]
    lead = "What a task's metric becomes as its share of the preference grows"
    lead += (
        ", with intervals over test rows. Where the dots do not rise or fall beyond their intervals, steering does not "
        "move that task."
        if front.judged
        else "."
    )
    return Section("steering", "How far it steers", el("div", panels, class_="panels"), lead)


def _panel(front: FrontShown, task: TaskInfo) -> Markup:
    marks = []
    for point in front.points:
        found = point.metric(task)
        share = point.preference[task.index]
        marks.append(Mark(share, found.value, look(front, point), tip(front, point), y_bounds=bounds(found)))
    rules = [
        Rule("y", one.metric(task).value, "base" if one.single else "ink", "alone" if one.single else one.name)
        for one in front.baselines
        if one.single in ("", task.name)
    ]
    direction = "higher" if task.metric.higher_is_better else "lower"
    title = el("span", task_name(task), f": {task.metric.label}, {direction} is better")
    chart = Scatter(f"{task.metric.label} of {task.name} by its share", "", f"share of {task.name}", marks, rules)
    return figure(f"steer-{task.index}", title, scatter(chart, SIZE))


def points(front: FrontShown) -> Section:
    """Return all points and baselines as a table."""
    head = ["Preference", *(task_name(task) for task in front.tasks), "Note"]
    rows = []
    for place, point in enumerate(front.points):
        notes = ["knee"] if place == front.knee else []
        notes += ["bettered by another"] if point.dominated else []
        shares = " : ".join(f"{share:.2f}" for share in point.preference)
        rows.append([shares, *(value_text(point.metric(task)) for task in front.tasks), ", ".join(notes)])
    rows += [[one.name, *(value_text(one.metric(task)) for task in front.tasks), ""] for one in front.baselines]
    labels = ", ".join(f"{task.name} {task.metric.label}" for task in front.tasks)
    lead = (
        f"Test rows, with intervals: {labels}. What is bettered, and the knee, were judged on validation rows."
        if front.judged
        else f"As the evaluation measured them: {labels}."
    )
    return Section("points", "All points", table("Points of the front and baselines", head, rows), lead)
