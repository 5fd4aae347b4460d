"""How a point of a front looks and what it says when it is pointed at, the same in every picture."""

from __future__ import annotations

from accord.reporting.front.read import Figure, FrontShown, Shown, value_text
from accord.reporting.numbers import general, percent


def look(front: FrontShown, point: Shown) -> str:
    """Return the CSS classes of a point: its mixture of two tasks' colours, hollow where it is dominated."""
    more = (" dash" if point.dominated else "") + (" knee" if is_knee(front, point) else "")
    return f"mix{round(10 * point.preference[1])}{more}" if len(front.tasks) == 2 else f"accent{more}"


def label(front: FrontShown, point: Shown) -> str:
    """Return what stands beside a point: its task at a corner, ``knee`` at the knee, else nothing."""
    if is_knee(front, point):
        return "knee"
    whole = [task.name for task, share in zip(front.tasks, point.preference, strict=True) if share > 1 - 1e-9]
    return f"all {whole[0]}" if whole else ""


def is_knee(front: FrontShown, point: Shown) -> bool:
    """Whether this is the front's knee."""
    return front.knee is not None and front.points[front.knee] is point


def tip(front: FrontShown, one: Shown) -> str:
    """Return everything about a point or a baseline, line by line."""
    lines = [one.name] if one.name else [f"preference: {shares(front, one)}"]
    for task in front.tasks:
        if one.loss(task) == one.loss(task):
            found = f"{task.metric.label} {value_text(one.metric(task))}, loss {general(one.loss(task), 4)}"
            lines.append(f"{task.name}: {found}")
    return "\n".join(lines)


def shares(front: FrontShown, point: Shown) -> str:
    """Return a preference in words."""
    pairs = zip(front.tasks, point.preference, strict=True)
    return ", ".join(f"{task.name} {percent(share)}" for task, share in pairs)


def bounds(found: Figure) -> tuple[float, float] | None:
    """Return an interval, ``None`` where there is none."""
    return (found.low, found.high) if found.low == found.low and found.high == found.high else None
