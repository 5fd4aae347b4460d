"""A trained model as a run directory keeps it: tensors in, tables out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.data import FeatureEncoder, Schema, open_table
from accord.errors import RunError
from accord.sharing import MultiTaskModel
from accord.tasks import Objectives, TargetEncoder
from accord.training.build import ModelParts, build_model
from accord.training.evaluate import predict
from accord.training.files import read_json, read_tensors, write_json, write_tensors, write_text
from accord.training.frozen_text import TextChoice, text_encoder
from accord.training.problem import all_outputs
from accord.training.spec import Spec


@dataclass
class Trained:
    """One model with everything that turns tables into predictions.

    Attributes:
        spec: what it was trained by.
        schema: the columns it was trained on.
        features: encoder of the feature columns.
        objectives: the tasks, fitted.
        model: the network, on the CPU, in evaluation mode.
    """

    spec: Spec
    schema: Schema
    features: FeatureEncoder
    objectives: Objectives
    model: MultiTaskModel

    def predict(self, source: Any, *, query: str | None = None) -> dict[str, np.ndarray]:
        """Return one column per prediction for every row of ``source``, in its order.

        For classes: the task's name holds the most likely one, ``task=class`` the probability of each; for numbers
        the task's name holds the number in the label's own unit.

        Args:
            source: anything :func:`accord.data.open_table` opens; labels are not needed.
            query: SQL that makes the table out of ``source``.

        Raises:
            DataError: a column is missing or of another type than in training.
        """
        features = self.features.transform(open_table(source, query=query))
        outputs = all_outputs(self.model, features, torch.arange(len(features)), torch.device("cpu"))
        columns: dict[str, np.ndarray] = {}
        for encoder, found in zip(self.objectives.encoders, predict(self.objectives, outputs), strict=True):
            columns[encoder.task.name] = encoder.decide(found)
            parts = found.reshape(len(features), -1).T
            columns |= dict(zip(encoder.prediction_names, parts, strict=True))
        return columns

    def save(self, directory: str | Path) -> None:
        """Write what :meth:`load` needs: ``spec.yaml``, ``features.json`` and ``model.safetensors``."""
        directory = Path(directory)
        save_description(directory, self.spec, self.schema, self.features, self.objectives)
        write_tensors(directory / "model.safetensors", self.model.state_dict())

    @classmethod
    def load(cls, directory: str | Path, parts: ModelParts | None = None, *, text: TextChoice | None = None) -> Trained:
        """Read a run directory. Only text and numbers are read: nothing in it can execute.

        Args:
            directory: a run directory.
            parts: the user's own modules, where the run was trained with some.
            text: the frozen text encoder, where it was a function of the user or its folder has moved.

        Raises:
            RunError: a file is missing, damaged, or does not belong to the others.
            ConfigurationError: the text encoder is not there.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise RunError(f"no run directory at {directory}")
        spec = Spec.from_yaml(directory / "spec.yaml")
        schema, features, objectives = read_features(directory / "features.json", spec, text)
        tensors, _ = read_tensors(directory / "model.safetensors")
        model = build_model(spec, features.layout, objectives, seed=spec.seed, parts=parts)
        _load_weights(model, tensors, directory)
        return cls(spec, schema, features, objectives, model.eval())


def save_description(
    directory: Path, spec: Spec, schema: Schema, features: FeatureEncoder, objectives: Objectives
) -> None:
    """Write ``spec.yaml`` and ``features.json``, which are known before training starts."""
    write_text(directory / "spec.yaml", spec.to_yaml())
    write_features(directory / "features.json", schema, features, objectives)


def write_features(path: Path, schema: Schema, features: FeatureEncoder, objectives: Objectives) -> None:
    """Write ``features.json``: the schema and the fitted encoders."""
    state = {
        "schema": schema.to_dict(),
        "encoder": features.to_state(),
        "tasks": [encoder.state() for encoder in objectives.encoders],
    }
    write_json(path, state)


def read_features(path: Path, spec: Spec, text: TextChoice | None = None) -> tuple[Schema, FeatureEncoder, Objectives]:
    """Read what :func:`write_features` wrote.

    Args:
        path: of ``features.json``.
        spec: of the run, which names the text encoder.
        text: stands in for that encoder.

    Raises:
        RunError: the file is missing or damaged.
        ConfigurationError: the text encoder is not there.
    """
    kept = read_json(path)
    try:
        features = _encoder(kept["encoder"], spec, text)
        objectives = Objectives([TargetEncoder.from_state(state) for state in kept["tasks"]])
        return Schema.from_dict(kept["schema"]), features, objectives
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is not what Accord wrote: {error!r}") from error


def _encoder(state: dict[str, Any], spec: Spec, text: TextChoice | None) -> FeatureEncoder:
    if not any(column["kind"] == "embedding" for column in state["columns"]):
        return FeatureEncoder.from_state(state)
    reader = text_encoder(spec, text)
    return FeatureEncoder.from_state(state, text=None if isinstance(reader, str) else reader)


def _load_weights(model: MultiTaskModel, tensors: dict[str, Tensor], directory: Path) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise RunError(
            f"{directory / 'model.safetensors'} does not belong to {directory / 'spec.yaml'}: {first}"
        ) from error
