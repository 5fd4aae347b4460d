"""Forgetting by negation: what subtracting a task vector takes from its task, and from the others."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from benchmarks.zoo.judge import Judge, Scores, State, mean
from benchmarks.zoo.task import Task

from accord.merging import TaskArithmetic

SCALES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)
# Points of accuracy that a task is to lose on validation rows; the largest scale, and how often the range is halved.
AMOUNTS, LIMIT, HALVINGS = (5, 10, 20), 4.0, 7


def negate(judge: Judge, done: Container[str] = ()) -> Iterator[dict[str, Any]]:
    """Subtract each task's vector from the joint model's trunk, as far as each scale says.

    The joint model knows all tasks; the vector is the task's own fine-tuning less the base. Yields a record per task:
    the test accuracy on that task, and the mean over the others, at each scale.
    """
    for task in judge.tasks:
        if (name := f"negation of {task.name}") not in done:
            curve = []
            for scale in SCALES:
                scores = judge.scores(without(judge, task, scale))
                own = scores.pop(task.name)
                curve.append({"scale": scale, "own": own, "others": mean(scores)})
            yield {"method": name, "curve": curve}


def forget(judge: Judge, done: Container[str] = ()) -> Iterator[dict[str, Any]]:
    """Subtract as much of each task's vector as lowers that task by the amounts that are asked for.

    How much that is, is found on the task's own validation rows. Yields a record per task: for each amount the scale,
    and by how many points of test accuracy the task itself fell, the mean over the others, and the one that fell most.
    """
    whole: Scores = {}
    for task in judge.tasks:
        if (name := f"forgetting {task.name}") not in done:
            whole = whole or judge.scores(judge.joint)
            yield {"method": name, "forgotten": [_forgotten(judge, task, amount, whole) for amount in AMOUNTS]}


def _forgotten(judge: Judge, task: Task, amount: float, whole: Scores) -> dict[str, float]:
    scale = enough(judge, task, amount)
    scores = judge.scores(without(judge, task, scale))
    lost = {name: whole[name] - value for name, value in scores.items()}
    own = lost.pop(task.name)
    return {"amount": amount, "scale": scale, "own": own, "others": mean(lost), "worst": max(lost.values())}


def enough(judge: Judge, task: Task, amount: float) -> float:
    """Return a scale at which a task has lost that many points of validation accuracy, hardly more than is needed.

    Found by halving from :data:`LIMIT`, which is returned where even that does not take enough.
    """

    def right(scale: float) -> float:
        return judge.scores_of(task, without(judge, task, scale), "validation")

    goal, low, high = right(0.0) - amount, 0.0, LIMIT
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if right(middle) <= goal else (middle, high)
    return high


def without(judge: Judge, task: Task, scale: float) -> State:
    """Return the joint trunk less so much of a task's vector."""
    expert = judge.experts[[own.name for own in judge.tasks].index(task.name)]
    return TaskArithmetic([1.0, -scale])(judge.base, [judge.joint, expert])
