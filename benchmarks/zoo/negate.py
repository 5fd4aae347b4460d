"""Forgetting by negation: what subtracting a task vector takes from its task, and from the others."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from benchmarks.zoo.judge import Judge, mean

from accord.merging import TaskArithmetic

SCALES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)


def negate(judge: Judge, done: Container[str] = ()) -> Iterator[dict[str, Any]]:
    """Subtract each task's vector from the joint model's trunk, as far as each scale says.

    The joint model knows all tasks; the vector is the task's own fine-tuning less the base. Yields a record per task:
    the test accuracy on that task, and the mean over the others, at each scale.
    """
    for task, expert in zip(judge.tasks, judge.experts, strict=True):
        if f"negation of {task.name}" in done:
            continue
        curve = []
        for scale in SCALES:
            scores = judge.scores(TaskArithmetic([1.0, -scale])(judge.base, [judge.joint, expert]))
            own = scores.pop(task.name)
            curve.append({"scale": scale, "own": own, "others": mean(scores)})
        yield {"method": f"negation of {task.name}", "curve": curve}
