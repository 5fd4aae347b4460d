"""A trained front: one model that is told its preference, or a set of models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from accord.errors import RunError
from accord.sharing import MultiTaskModel
from accord.steering.grid import nearest
from accord.steering.learner import front_outputs
from accord.steering.network import Blueprint, Steerable
from accord.steering.rows import Rows
from accord.training.files import read_tensors, write_tensors
from accord.training.problem import all_outputs

WEIGHTS, SOLUTIONS = "front.safetensors", "solutions"


class Front(ABC):
    """What a run has learned, on the CPU and in evaluation mode.

    Attributes:
        blueprint: what its networks are built from.
        preferences: ``[n, T]``, where it is measured.
    """

    kind: str

    def __init__(self, blueprint: Blueprint, preferences: Tensor) -> None:
        self.blueprint, self.preferences = blueprint, preferences

    @abstractmethod
    def outputs(self, rows: Rows, preference: Tensor) -> list[Tensor]:
        """Return every head's outputs for ``rows`` at ``preference`` ``[T]``."""

    @abstractmethod
    def solution(self, preference: Tensor) -> MultiTaskModel:
        """Return the solution for ``preference`` ``[T]`` as a network of its own."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the weights into a front directory."""


class SteerableFront(Front):
    """One model for all preferences."""

    kind = "steerable"

    def __init__(self, blueprint: Blueprint, preferences: Tensor, model: Steerable) -> None:
        super().__init__(blueprint, preferences)
        self.model = model.eval()

    def outputs(self, rows: Rows, preference: Tensor) -> list[Tensor]:
        return front_outputs(self.model, rows, preference)

    def solution(self, preference: Tensor) -> MultiTaskModel:
        return self.blueprint.solution(self.model, preference.float())

    def save(self, directory: Path) -> None:
        write_tensors(directory / WEIGHTS, self.model.state_dict())


class SolutionSet(Front):
    """A model for each of some preferences; others get the nearest one."""

    kind = "set"

    def __init__(self, blueprint: Blueprint, preferences: Tensor, models: Sequence[MultiTaskModel]) -> None:
        super().__init__(blueprint, preferences)
        self.models = [model.eval() for model in models]

    def outputs(self, rows: Rows, preference: Tensor) -> list[Tensor]:
        model = self.models[nearest(self.preferences, preference)]
        return all_outputs(model, rows.features, torch.arange(len(rows)), torch.device("cpu"))

    def solution(self, preference: Tensor) -> MultiTaskModel:
        return self.models[nearest(self.preferences, preference)]

    def save(self, directory: Path) -> None:
        for number, model in enumerate(self.models):
            write_tensors(directory / SOLUTIONS / f"{number:03d}.safetensors", model.state_dict())


def load_front(directory: Path, blueprint: Blueprint, kind: str, preferences: Tensor) -> Front:
    """Read what :meth:`Front.save` wrote.

    Raises:
        RunError: a file is missing, damaged, or does not belong to the others.
    """
    if kind == SteerableFront.kind:
        model = blueprint.steerable(blueprint.spec.seed)
        _fill(model, directory / WEIGHTS)
        return SteerableFront(blueprint, preferences, model)
    models = [blueprint.plain(blueprint.spec.seed) for _ in preferences]
    for number, plain in enumerate(models):
        _fill(plain, directory / SOLUTIONS / f"{number:03d}.safetensors")
    return SolutionSet(blueprint, preferences, models)


def _fill(model: torch.nn.Module, path: Path) -> None:
    tensors, _ = read_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise RunError(f"{path} does not belong to {path.parent}: {first}") from error
