"""A front directory opened again: asked for any preference, measured while people wait, exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from accord.data import FeatureEncoder, Schema
from accord.errors import ConfigurationError, RunError
from accord.merging.fronts import of_merges
from accord.steering.answers import Answers
from accord.steering.directory import FEATURES, RESULTS, ROWS, YAML, read_front
from accord.steering.export import export_checkpoint, export_onnx, export_run
from accord.steering.front import SOLUTIONS, Front, SteerableFront, load_front
from accord.steering.grid import nearest
from accord.steering.measure import Measured, Resamples, measure, remembered
from accord.steering.network import Blueprint
from accord.steering.results import live_resamples
from accord.steering.rows import Rows
from accord.steering.spec import FrontSpec
from accord.tasks import Objectives
from accord.training import Spec, TextChoice
from accord.training.files import read_json
from accord.training.trained import Trained, read_features


@dataclass(frozen=True)
class Point:
    """A stored solution.

    Attributes:
        preference: ``[T]``.
        live: what the live rows say.
        test: what the test rows say; ``None`` where nobody asked them.
        dominated: whether another stored solution is better on the live rows.
    """

    preference: tuple[float, ...]
    live: Measured
    test: Measured | None
    dominated: bool


@dataclass(frozen=True)
class Reference:
    """A model that the front is compared with: ``balanced``, or ``single:<task>`` with figures of its task only."""

    name: str
    live: Measured
    test: Measured | None


@final
class FrontRun:
    """A front directory.

    Attributes:
        directory: where it is.
        results: the content of ``front.json``.
        kind: ``steerable``, one model for every preference, or ``set``, a model for each of some.
        method: its registry name.
        tasks: as ``front.json`` describes them.
        points: the stored solutions.
        baselines: what they are compared with; empty where it was not asked for.
        preferences: ``[n, T]`` float64, those of the points.
    """

    def __init__(self, directory: Path, results: Mapping[str, Any], text: TextChoice | None = None) -> None:
        self.directory, self.results, self._text = directory, results, text
        try:
            self.kind, self.method = str(results["kind"]), str(results["method"])
            self.tasks: list[dict[str, Any]] = list(results["tasks"])
            self.points = [_point(entry) for entry in results["points"]]
            self.baselines = [_reference(entry) for entry in results.get("baselines", ())]
            preferences = [list(point.preference) for point in self.points]
            self.preferences = torch.tensor(preferences, dtype=torch.float64).reshape(-1, len(self.tasks))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(f"{directory / RESULTS} is not what Accord wrote: {error!r}") from error

    def __str__(self) -> str:
        return str(self.results.get("paragraph") or f"a front by {self.method}")

    @property
    def merged(self) -> bool:
        """Whether the solutions are checkpoints of ``accord merge --front``, measured by an evaluation."""
        return of_merges(self.results)

    def evaluate(self, preference: Sequence[float] | Tensor) -> Measured:
        """Return losses and metrics with intervals on the live rows: the rows that the points' figures are of.

        A ``set`` answers with its nearest point. Costs one pass of a few thousand rows and a hundred resamples of them,
        some tens of milliseconds; the first call reads the weights and draws the resamples.

        Raises:
            ConfigurationError: the preference is not one number of at least 0 per task, or all are 0.
        """
        wanted = self.normalised(preference)
        if self.kind != "steerable":
            return self.points[self.nearest(wanted)].live
        outputs, confidence = self._answers.at(wanted), float(self.results["confidence"])
        return measure(self.objectives, outputs, self.live.targets, self._resamples, confidence)

    def nearest(self, preference: Sequence[float] | Tensor) -> int:
        """Return which of :attr:`points` is nearest to ``preference``."""
        return nearest(self.preferences, self.normalised(preference))

    def solution(self, preference: Sequence[float] | Tensor) -> nn.Module:
        """Return the solution for ``preference`` as a network of its own: features in, one output per task."""
        return self.front.solution(self.normalised(preference))

    def export(
        self,
        preference: Sequence[float] | Tensor,
        path: str | Path,
        format: Literal["safetensors", "onnx"] = "safetensors",
    ) -> Path:
        """Write exactly the model that :meth:`evaluate` measures at ``preference``, and return where it is.

        Args:
            preference: ``[T]``.
            path: a new or empty directory for ``safetensors``, a file for ``onnx``.
            format: ``safetensors`` is a run directory that :func:`accord.load` and ``accord predict`` take, or, of a
                front of merges, the merged checkpoint; ``onnx`` is the network alone, which takes encoded features.

        Raises:
            ConfigurationError: no such format, one that merges do not have, or the preference is none.
            MissingExtraError: ONNX is not installed.
            RunError: the place is taken or cannot be written.
        """
        wanted = self.normalised(preference)
        if self.merged:
            if format != "safetensors":
                raise ConfigurationError(f"merged checkpoints are exported as they are, not as {format}")
            return export_checkpoint(self.directory / SOLUTIONS / f"{self.nearest(wanted):03d}", Path(path))
        trained = self.trained(wanted)
        measured = self.evaluate(wanted)
        if format == "safetensors":
            return export_run(trained, Path(path), self.results, wanted, measured)
        if format == "onnx":
            return export_onnx(trained, Path(path), self.live.features)
        raise ConfigurationError(f"format must be 'safetensors' or 'onnx', not {format!r}")

    def trained(self, preference: Sequence[float] | Tensor) -> Trained:
        """Return the solution for ``preference`` with everything that turns tables into predictions."""
        wanted = self.normalised(preference)
        if self.kind != "steerable":
            wanted = self.preferences[self.nearest(wanted)]
        schema, features, objectives = self._features
        spec = self.front.blueprint.solution_spec(wanted)
        return Trained(spec, schema, features, objectives, self.front.solution(wanted))

    def normalised(self, preference: Sequence[float] | Tensor) -> Tensor:
        """Return ``preference`` as float64 ``[T]`` with sum 1.

        Raises:
            ConfigurationError: it is not one number of at least 0 per task, or all are 0.
        """
        values = torch.as_tensor(preference, dtype=torch.float64).detach().cpu()
        if (
            values.shape != (len(self.tasks),)
            or not bool((values.isfinite() & (values >= 0)).all())
            or not values.any()
        ):
            names = ", ".join(str(task["name"]) for task in self.tasks)
            raise ConfigurationError(
                f"a preference is one number of at least 0 for each of {names}, not all 0; got {values.tolist()}"
            )
        return values / values.sum()

    @cached_property
    def front(self) -> Front:
        """The weights, read on first use."""
        _, features, objectives = self._features
        spec, front = self._specification
        blueprint = Blueprint(spec, front, features.layout, objectives)
        return load_front(self.directory, blueprint, self.kind, self.preferences)

    @cached_property
    def live(self) -> Rows:
        """The rows that live figures are of, read on first use."""
        return Rows.load(self.directory / ROWS, len(self.tasks))

    @cached_property
    def _answers(self) -> Answers:
        front = self.front
        assert isinstance(front, SteerableFront)
        return Answers(front.model, self.live)

    @cached_property
    def _resamples(self) -> Resamples:
        return remembered(live_resamples(self.live))

    @property
    def objectives(self) -> Objectives:
        """The tasks, fitted."""
        return self._features[2]

    @cached_property
    def _specification(self) -> tuple[Spec, FrontSpec]:
        if not (self.directory / YAML).is_file():
            raise RunError(
                f"{self.directory} holds no {YAML}, so no network can be built from its weights; it was not made by "
                "accord front"
            )
        return read_front(self.directory / YAML)

    @cached_property
    def _features(self) -> tuple[Schema, FeatureEncoder, Objectives]:
        return read_features(self.directory / FEATURES, self._specification[0], self._text)


def open_front(path: str | Path, *, text: TextChoice | None = None) -> FrontRun:
    """Open a front directory. Only text and numbers are read: nothing in it can execute.

    Args:
        path: the directory.
        text: the frozen text encoder, where it was a function or its folder has moved.

    Raises:
        RunError: no front directory, or a damaged one.
    """
    directory = Path(path)
    if not (directory / RESULTS).is_file():
        raise RunError(f"no front at {directory}: there is no {RESULTS}. accord front SPEC --out {directory} makes one")
    return FrontRun(directory, read_json(directory / RESULTS), text)


def _point(entry: Mapping[str, Any]) -> Point:
    preference = tuple(float(value) for value in entry["preference"])
    return Point(preference, Measured.from_dict(entry), _judged(entry), bool(entry["dominated"]))


def _reference(entry: Mapping[str, Any]) -> Reference:
    return Reference(str(entry["name"]), Measured.from_dict(entry), _judged(entry))


def _judged(entry: Mapping[str, Any]) -> Measured | None:
    return Measured.from_dict(entry["test"]) if entry.get("test") else None
