"""Weights per class: how they are computed, and what keeps probabilities calibrated under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accord.errors import ConfigurationError, suggest
from accord.tasks.labels import Floats

if TYPE_CHECKING:
    from accord.tasks.task import Task


def class_weights(task: Task, classes: tuple[str, ...], counts: Floats) -> tuple[float, ...]:
    """Return one weight per class, averaging 1 over the training rows; 1 each when none were asked for.

    ``"balanced"`` is ``N / (C n_c)``: every class that occurs carries the same total weight. Training with weights
    ``w`` makes the model learn ``p_w(c|x)`` proportional to ``w_c p(c|x)`` (Elkan, 2001), so predictions subtract
    ``log w_c`` from the logits: the weights move the model's effort, not the meaning of its probabilities.

    Args:
        task: whose ``class_weights`` to read.
        classes: names of the C classes.
        counts: ``[C]`` rows (or row weight) of each class in training.

    Raises:
        ConfigurationError: weights name a class that does not exist.
    """
    asked = task.class_weights
    if asked is None:
        return (1.0,) * len(classes)
    if asked == "balanced":
        present = counts > 0
        weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1e-300)), 1.0)
        return tuple(float(weight) for weight in weights)
    for name in asked:
        if name not in classes:
            raise ConfigurationError(f"task {task.name!r}: class_weights name class {name!r}. {suggest(name, classes)}")
    weights = np.array([asked.get(name, 1.0) for name in classes])
    return tuple(float(weight) for weight in weights * counts.sum() / (weights @ counts))
