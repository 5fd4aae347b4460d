"""Mean and scale of a numeric label, and the checks that come before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accord.errors import DataError
from accord.tasks.encoder import require_labels, row_weights
from accord.tasks.labels import Floats, Labels

if TYPE_CHECKING:
    from accord.tasks.task import Task


class Standard(NamedTuple):
    """Where a numeric label lies and how wide it spreads."""

    mean: float
    scale: float

    @staticmethod
    def learn(task: Task, labels: Labels) -> Standard:
        """Return mean and standard deviation of the training labels, by row weight.

        Raises:
            DataError: no labels, infinite ones, or all the same.
        """
        numbers, weights = one_column(task, labels), row_weights(labels)
        seen = ~np.isnan(numbers) & (weights > 0)
        require_labels(task, seen)
        numbers, weights = numbers[seen], weights[seen]
        # Dividing by the largest first keeps the square of labels near 1e200 finite.
        unit = float(np.abs(numbers).max()) or 1.0
        mean = float(np.average(numbers / unit, weights=weights))
        scale = float(np.sqrt(np.average((numbers / unit - mean) ** 2, weights=weights)))
        if numbers.min() == numbers.max() or scale * unit == 0:
            raise DataError(f"task {task.name!r}: every training label is {numbers[0]:g}. Drop the task.")
        return Standard(mean * unit, scale * unit)


def one_column(task: Task, labels: Labels) -> Floats:
    """Return the labels ``[N]`` as numbers, NaN where missing.

    Raises:
        DataError: several columns, text, or infinite values.
    """
    numbers = labels.as_numbers(task.name)
    if numbers.shape[1] != 1:
        raise DataError(f"task {task.name!r} takes one label column, not {numbers.shape[1]}: make a task of each.")
    return numbers[:, 0]
