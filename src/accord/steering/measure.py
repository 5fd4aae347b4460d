"""What rows say about a model: losses, and metrics with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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


# Resamples [r, N] of the same rows, chunk by chunk, the same ones on every call.
Resamples = Callable[[], Iterator[Array]]
# Values in the resamples of one chunk, by task and metric.
Drawn = dict[str, dict[str, Array]]


def remembered(resamples: Resamples) -> Resamples:
    """Return the same resamples, drawn once and kept: 8 bytes for each of them and each row."""
    chunks = list(resamples())
    return lambda: iter(chunks)


def measure(
    objectives: Objectives,
    outputs: Sequence[Tensor],
    targets: Sequence[Target],
    resamples: Resamples,
    confidence: float = 0.95,
    over: Callable[[Callable[[Array], Drawn], Iterable[Array]], Iterable[Drawn]] = map,
) -> Measured:
    """Return what N rows say about a model.

    Args:
        objectives: its tasks.
        outputs: of its heads for the rows, on the CPU.
        targets: of the rows.
        resamples: how often each row is drawn, ``[R, N]`` in all.
        confidence: coverage of the percentile intervals.
        over: what takes a function over chunks, in order: ``map``, or that of a pool of threads, which has all chunks
            at once.
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
    ones = np.ones((1, len(targets[0])))
    points = {task: {name: float(score(ones)[0]) for name, score in own.items()} for task, own in scorers.items()}

    def values(counts: Array) -> Drawn:
        return {task: {name: score(counts) for name, score in own.items()} for task, own in scorers.items()}

    drawn = list(over(values, resamples()))
    metrics = {
        task: {
            name: Value(value, *interval(np.concatenate([chunk[task][name] for chunk in drawn]), confidence))
            for name, value in of.items()
        }
        for task, of in points.items()
    }
    return Measured(losses, metrics)
