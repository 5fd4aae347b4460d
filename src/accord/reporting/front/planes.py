"""The front in the space of the losses and in that of people's own metrics, two tasks at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from accord.reporting.front.marks import bounds, label, look, tip
from accord.reporting.front.read import Figure, FrontShown, Shown
from accord.reporting.html import Markup, bdi, el
from accord.reporting.parts import Section, figure
from accord.reporting.run import TaskInfo
from accord.reporting.svg.scatter import Mark, Rule, Scatter, scatter

# Pairs of tasks that are drawn; more would be a wall of small pictures.
PAIRS = 6
SIZE = (440, 340)
Value = Callable[[Shown, TaskInfo], Figure]


def planes(front: FrontShown) -> Section:
    """Return the front drawn for every pair of tasks, losses beside metrics."""
    pairs = list(combinations(front.tasks, 2))
    panels = [panel for a, b in pairs[:PAIRS] for panel in (_metrics(front, a, b), _losses(front, a, b)) if panel]
    lead = (
        "Each dot is one compromise, measured on test rows, by which nothing was chosen. Hollow dots are bettered by "
        "another on the validation rows. The diamond is one balanced model, with its intervals; lines are "
        "models of one task alone."
        if front.judged
        else "Each dot is one compromise, as the evaluation measured it. Hollow dots are bettered by another."
    )
    more = el("p", f"{PAIRS} of {len(pairs)} pairs of tasks are drawn.", class_="note") if len(pairs) > PAIRS else None
    body = el("div", _legend(front), el("div", panels, class_="panels planes"), more)
    return Section("front", "The front", body, lead)


def _losses(front: FrontShown, a: TaskInfo, b: TaskInfo) -> Markup:
    title = el("span", "Loss of ", bdi(a.name), " (across) and ", bdi(b.name), " (up); lower is better")

    def value(one: Shown, task: TaskInfo) -> Figure:
        return Figure(one.loss(task), float("nan"), float("nan"))

    return _plane(front, (a, b), ("losses", f"loss of {a.name}"), title, value)


def _metrics(front: FrontShown, a: TaskInfo, b: TaskInfo) -> Markup | None:
    if a.primary == b.primary == "loss":  # which is drawn anyway
        return None
    better = ["higher is better" if task.metric.higher_is_better else "lower is better" for task in (a, b)]
    how = better[0] if better[0] == better[1] else f"{better[0]} across, {better[1]} up"
    parts = (
        a.metric.label,
        " of ",
        bdi(a.name),
        " (across) and ",
        b.metric.label,
        " of ",
        bdi(b.name),
        f" (up); {how}",
    )

    def value(one: Shown, task: TaskInfo) -> Figure:
        return one.metric(task)

    return _plane(front, (a, b), ("metrics", f"{a.metric.label} of {a.name}"), el("span", parts), value)


def _plane(
    front: FrontShown, pair: tuple[TaskInfo, TaskInfo], names: tuple[str, str], title: Markup, value: Value
) -> Markup:
    a, b = pair
    marks = [_mark(front, point, value, pair) for point in front.points]
    marks += [_mark(front, one, value, pair) for one in front.baselines if not one.single]
    rules = [
        # The corner that is best in the task that goes up lies across from its label.
        Rule(axis, value(one, task).value, "base", f"{task.name} alone", "start" if names[0] == "losses" else "end")
        for axis, task in (("x", a), ("y", b))
        for one in front.baselines
        if one.single == task.name
    ]
    kept = [place for place, point in enumerate(front.points) if not point.dominated]
    # With more than two tasks a front is a surface, which no line goes along.
    line = sorted(kept, key=lambda place: front.points[place].preference[1]) if len(front.tasks) == 2 else ()
    key, x_name = names
    about = f"{len(front.points)} points; the arrow keys read them out."
    chart = Scatter(f"The front: {x_name}", about, x_name, marks, rules, line)
    return figure(f"{key}-{a.index}-{b.index}", title, scatter(chart, SIZE))


def _mark(front: FrontShown, one: Shown, value: Value, pair: tuple[TaskInfo, TaskInfo]) -> Mark:
    x, y = (value(one, task) for task in pair)
    if one.name:
        return Mark(x.value, y.value, "ink", tip(front, one), "diamond", one.name, bounds(x), bounds(y))
    # Intervals of every dot would hide the front; they are about as long as the balanced model's.
    return Mark(x.value, y.value, look(front, one), tip(front, one), "dot", label(front, one))


def _legend(front: FrontShown) -> Markup | None:
    if len(front.tasks) != 2:
        return None
    keys = [el("span", class_=f"key mix{place}") for place in range(11)]
    first, second = (bdi(task.name) for task in front.tasks)
    bar = el("span", keys, class_="keys solid", aria_hidden="true")
    return el("p", "preference: all ", first, " ", bar, " all ", second, class_="legend")
