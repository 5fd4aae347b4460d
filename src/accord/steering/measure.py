"""What rows say about a model: losses, and metrics with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.tasks import Objectives, Target
from accord.training.evaluate import predict
from accord.training.verdict import Array, interval


@dataclass(frozen=True, slots=True)
class Value:
    """A metric and its interval; NaN where the rows do not define it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """What rows say about one model.

    Attributes:
        losses: task -> mean loss, minimised.
        metrics: task -> metric -> value and interval.
    """

    losses: dict[str, float]
    metrics: dict[str, dict[str, Value]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``front.json`` has them."""
        metrics = {
            task: {name: {"value": v.value, "low": v.low, "high": v.high} for name, v in found.items()}
            for task, found in self.metrics.items()
        }
        return {"losses": dict(self.losses), "metrics": metrics}

    @classmethod
    def from_dict(cls, data: Any) -> Measured:
        """Undo :meth:`to_dict`, also after a way through JSON, which has no NaN."""
        losses = {str(task): _number(value) for task, value in data["losses"].items()}
        metrics = {
            str(task): {
                str(name): Value(_number(v["value"]), _number(v["low"]), _number(v["high"]))
                for name, v in found.items()
            }
            for task, found in data["metrics"].items()
        }
        return cls(losses, metrics)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


# Chunks [r, N] of how often each row is drawn, the same ones on every call. The first line of all has every row once.
Resamples = Callable[[], Iterator[Array]]


def remembered(resamples: Resamples) -> Resamples:
    """Return the same resamples, drawn once and kept: 4 bytes for each of them and each row."""
    chunks = list(resamples())
    return lambda: iter(chunks)


def measure(
    objectives: Objectives,
    outputs: Sequence[Tensor],
    targets: Sequence[Target],
    resamples: Resamples,
    confidence: float = 0.95,
) -> Measured:
    """Return what N rows say about a model.

    Args:
        objectives: its tasks.
        outputs: of its heads for the rows, on the CPU.
        targets: of the rows.
        resamples: the rows themselves and R resamples of them.
        confidence: coverage of the percentile intervals.
    """
    with torch.no_grad():
        found = objectives.losses(outputs, targets)
    losses = {
        name: math.nan if loss is None else loss.item() for name, loss in zip(objectives.names, found, strict=True)
    }
    scorers = {
        encoder.task.name: encoder.scorers(prediction, target)
        for encoder, prediction, target in zip(objectives.encoders, predict(objectives, outputs), targets, strict=True)
    }
    drawn = {task: {name: [] for name in own} for task, own in scorers.items()}
    for counts in resamples():
        for task, own in scorers.items():
            for name, score in own.items():
                drawn[task][name].append(score(counts))
    metrics = {
        task: {name: _value(np.concatenate(parts), confidence) for name, parts in own.items()}
        for task, own in drawn.items()
    }
    return Measured(losses, metrics)


def _value(drawn: Array, confidence: float) -> Value:
    return Value(float(drawn[0]), *interval(drawn[1:], confidence))
