"""Predictions and metrics of a trained model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from accord.tasks import Objectives, Target
from accord.training.problem import Problem, all_outputs


def validation_metrics(problem: Problem) -> dict[str, dict[str, float]]:
    """Return ``{task: {metric: value}}`` on the validation rows, the mean training loss there (``loss``) included."""
    outputs = all_outputs(problem.model, problem.features, problem.validation, problem.device)
    targets = [target.take(problem.validation) for target in problem.targets]
    found = score(problem.objectives, predict(problem.objectives, outputs), targets)
    with torch.no_grad():
        losses = problem.objectives.losses(outputs, targets)
    for name, loss in zip(problem.objectives.names, losses, strict=True):
        found[name]["loss"] = float("nan") if loss is None else loss.item()
    return found


def predict(objectives: Objectives, outputs: Sequence[Tensor]) -> list[np.ndarray]:
    """Return each task's predictions (probabilities, or numbers in the labels' units), float64."""
    with torch.no_grad():
        return [prediction.numpy() for prediction in objectives.predict(outputs)]


def score(
    objectives: Objectives, predictions: Sequence[np.ndarray], targets: Sequence[Target]
) -> dict[str, dict[str, float]]:
    """Return ``{task: {metric: value}}``."""
    triples = zip(objectives.encoders, predictions, targets, strict=True)
    return {encoder.task.name: encoder.evaluate(prediction, target) for encoder, prediction, target in triples}
