"""What was measured along the fronts between fine-tunings, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.zoo.lines import Line, count, row, spread


def between_two(lines: Sequence[Line], kind: str) -> str:
    """Return test accuracies along the front between two fine-tunings: means over seeds."""
    return _table(lines, kind, 2, "worse of both")


def between_three(lines: Sequence[Line], kind: str) -> str:
    """Return test accuracies on the front between three fine-tunings: means over seeds."""
    return _table(lines, kind, 3, "worst of all")


def points(lines: Sequence[Line], kind: str, size: int) -> list[tuple[Line, ...]]:
    """Return the points of a zoo's front between so many fine-tunings, each as all seeds have it."""
    found = [line["front"] for line in lines if line["zoo"] == kind and line["method"] == f"front of {size}"]
    return list(zip(*found, strict=True))


def worst(point: Sequence[Line]) -> list[float]:
    """Return the lowest of the tasks' test accuracies in every seed."""
    return [min(own["test"].values()) for own in point]


def _table(lines: Sequence[Line], kind: str, size: int, last: str) -> str:
    found = points(lines, kind, size)
    tasks = list(found[0][0]["test"])
    # One share less than there are tasks says them all.
    rows = [row([*(f"share of {task}" for task in tasks[:-1]), *tasks, last])]
    rows.append(f"|{' ---: |' * (2 * size)}")
    for point in found:
        shares = [f"{share:g}" for share in point[0]["preference"][:-1]]
        each = [spread([own["test"][task] for own in point]) for task in tasks]
        rows.append(row([*shares, *each, spread(worst(point))]))
    return "\n".join([*rows, "", f"Per cent of right answers on test rows, {count(len(found[0]), 'seed')}."])
