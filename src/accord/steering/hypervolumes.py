"""How much of the trade-off the front covers on rows it has not seen, with intervals over rows and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.pareto.hypervolume import volume
from accord.steering.rows import Rows
from accord.steering.train import Trained
from accord.tasks import Objectives, Target
from accord.training.prepare import Prepared, only
from accord.training.problem import all_outputs
from accord.training.verdict import Array, interval, resampled_counts

# Hypervolumes are computed for every resample and seed; beyond this many of them intervals gain nothing.
RESAMPLES = 200


def no_skill(objectives: Objectives, targets: Sequence[Target]) -> Tensor:
    """Return each task's loss ``[T]`` on the rows of ``targets`` where it predicts the training average."""
    outputs = [e.bias().expand(len(t), -1) for e, t in zip(objectives.encoders, targets, strict=True)]
    losses = objectives.losses(outputs, targets)
    return torch.tensor([float("nan") if loss is None else loss.item() for loss in losses], dtype=torch.float64)


class Pile:
    """Row losses of models of one kind: ``[P, T, N]`` weighted losses and ``[T, N]`` weights."""

    def __init__(self, rows: Sequence[Sequence[tuple[Tensor, Tensor]]]) -> None:
        self.losses = np.stack([np.stack([losses.numpy() for losses, _ in model]) for model in rows])
        self.weights = np.stack([weights.numpy() for _, weights in rows[0]])

    def means(self, counts: Array) -> Array:
        """Return mean losses ``[R, P, T]`` in resamples ``[R, N]``."""
        models, tasks, rows = self.losses.shape
        counts = counts.astype(np.float64)  # the losses may be float32, and so would be their sums
        totals = (counts @ self.losses.reshape(-1, rows).T).reshape(-1, models, tasks)
        with np.errstate(divide="ignore", invalid="ignore"):
            return totals / (counts @ self.weights.T)[:, None, :]


def hypervolumes(
    trained: Sequence[Trained],
    prepared: Prepared,
    rows: Rows,
    reference: Tensor,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """Return the section ``hypervolume`` of ``front.json``.

    Args:
        trained: the models of every seed.
        prepared: the tasks.
        rows: what is judged on.
        reference: ``[T]``, the worst corner.
        resamples: draws of rows and, where there are several, of seeds.
        confidence: coverage of the percentile intervals.
        seed: of the draws.
    """
    piles = [_piles(one, prepared, rows) for one in trained]
    corner = reference.numpy()
    points = {
        name: np.array([_volume(own[name].means(np.ones((1, len(rows))))[0], corner) for own in piles])
        for name in piles[0]
    }
    drawn = _drawn(piles, len(rows), corner, min(resamples, RESAMPLES), np.random.default_rng(seed))
    if "balanced" in points:
        points["gain"], drawn["gain"] = points["front"] - points["balanced"], drawn["front"] - drawn["balanced"]
    found = {name: _value(float(value.mean()), drawn[name], confidence) for name, value in points.items()}
    return {"split": "test", "reference": reference.tolist(), **found}


def _piles(one: Trained, prepared: Prepared, rows: Rows) -> dict[str, Pile]:
    objectives = prepared.objectives
    found = {
        "front": Pile([objectives.row_losses(one.front.outputs(rows, p), rows.targets) for p in one.front.preferences])
    }
    singles: dict[int, tuple[Tensor, Tensor]] = {}
    for baseline in one.baselines:
        outputs = all_outputs(baseline.model, rows.features, torch.arange(len(rows)), torch.device("cpu"))
        if baseline.task is None:
            found["balanced"] = Pile([objectives.row_losses(outputs, rows.targets)])
        else:
            own = only(prepared, baseline.task).objectives
            singles[baseline.task] = own.row_losses(outputs, [rows.targets[baseline.task]])[0]
    if len(singles) == len(rows.targets):
        found["singles"] = Pile([[singles[t] for t in range(len(singles))]])
    return found


def _drawn(
    piles: Sequence[Mapping[str, Pile]], rows: int, corner: Array, resamples: int, rng: np.random.Generator
) -> dict[str, Array]:
    """Return by name the hypervolume ``[R]`` in resamples, the same rows and seeds for all names."""
    picks = rng.integers(0, len(piles), (resamples, len(piles)))
    parts: dict[str, list[Array]] = {name: [] for name in piles[0]}
    for counts in resampled_counts(rows, resamples, rng):
        for name, own in parts.items():
            means = [pile[name].means(counts) for pile in piles]
            own.append(np.array([[_volume(one[r], corner) for one in means] for r in range(len(counts))]))
    return {name: np.take_along_axis(np.concatenate(own), picks, 1).mean(1) for name, own in parts.items()}


def _volume(points: Array, corner: Array) -> float:
    return volume(points[np.isfinite(points).all(axis=1)], corner)


def _value(value: float, drawn: Array, confidence: float) -> dict[str, float]:
    low, high = interval(drawn, confidence)
    return {"value": value, "low": low, "high": high}
