"""What people call: table in, fitted model out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, final

import numpy as np

from accord.errors import ConfigurationError, suggest
from accord.reporting import verdict_text, write_report
from accord.tasks import Task
from accord.training import EvaluationSpec, ModelParts, Progress, Result, TextChoice, Trained, TrainingSpec, plan, run
from accord.training.files import read_json

# Where each keyword of ``fit`` lives in the specification.
_SHORT = {
    "sharing": "model.sharing",
    "sharing_options": "model.options",
    "stem": "model.stem",
    "tower": "model.tower",
    "balancing": "balancing.method",
    "balancing_options": "balancing.options",
    "engine": "balancing.engine",
    "query": "data.query",
    "columns": "data.columns",
    "non_finite": "data.non_finite",
    "split": "data.split.method",
    "split_column": "data.split.column",
    "seed": "seed",
    **{f.name: f"training.{f.name}" for f in fields(TrainingSpec)},
    **{f.name: f"evaluation.{f.name}" for f in fields(EvaluationSpec)},
}

_KEYWORDS = (*_SHORT, "tasks", "targets", "test", "text", "out", "resume", "trunk", "heads", "progress", "trackers")


@final
@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes:
        trained: the network with its encoders.
        metrics: what is in ``metrics.json``: test metrics, verdict, costs, warnings.
        directory: its run directory.
    """

    trained: Trained
    metrics: Mapping[str, Any]
    directory: Path

    def __str__(self) -> str:
        return verdict_text(self.metrics)

    def predict(self, table: Any, *, query: str | None = None) -> dict[str, np.ndarray]:
        """Return columns of predictions, one row per row of ``table``; see :meth:`accord.training.Trained.predict`."""
        return self.trained.predict(table, query=query)

    def save(self, directory: str | Path) -> Path:
        """Write ``spec.yaml``, ``features.json``, ``model.safetensors``, ``metrics.json`` and the history."""
        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        self.trained.save(target)
        for name in ("metrics.json", "history.parquet"):
            if target.resolve() != self.directory.resolve():
                (target / name).write_bytes((self.directory / name).read_bytes())
        return target

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report (``report.html`` in the run directory by default) and return its path."""
        return write_report(self.directory, path)


def fit(
    table: Any,
    tasks: Sequence[Task] = (),
    *,
    targets: Sequence[str] = (),
    test: Any = None,
    text: TextChoice | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    trunk: Any = None,
    heads: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    trackers: Iterable[str] = (),
    **options: Any,
) -> Model:
    """Train one model for several tasks, compare it with single-task models, and write a run directory.

    Args:
        table: a path, data set name, frame, Arrow table, mapping of arrays, query or connection; see
            :func:`accord.data.open_table`.
        tasks: what to predict.
        targets: columns to predict whose kind is inferred.
        test: a second table that holds the test rows, anything ``table`` may be.
        text: how free text is read: ``"hashed"`` n-grams (the default), the local folder of a Hugging Face model, or
            your own frozen encoder, a function from a list of texts to an array or tensor ``[n, d]``.
        out: the run directory; a temporary one when left out.
        resume: go on with the unfinished run in ``out``.
        trunk: your own module ``[B, D] -> [B, H]`` instead of ``sharing``.
        heads: your own modules ``[B, H] -> [B, width]`` by task name.
        progress: receives news.
        trackers: ``"tensorboard"``, ``"trackio"``, ``"mlflow"``.
        **options: ``sharing``, ``balancing``, ``sharing_options``, ``balancing_options``, ``query``,
            ``columns``, ``non_finite``, ``split``, ``split_column``, ``seed``, and every field of
            :class:`accord.training.TrainingSpec` and :class:`accord.training.EvaluationSpec`.

    Returns:
        The fitted model; ``print(model)`` says whether sharing helped.

    Raises:
        ConfigurationError: an unknown option or method.
        DataError: the table or a label cannot be used.
        RunError: ``out`` is taken or cannot be written.
    """
    for name in options:
        if name not in _SHORT:
            raise ConfigurationError(f"fit has no option {name!r}. {suggest(name, _KEYWORDS)}")
    changes = {_SHORT[name]: value for name, value in options.items()}
    parts = ModelParts(trunk, heads) if trunk is not None or heads is not None else None
    what = plan(table, tasks=tasks, targets=targets, options=changes, test=test, text=text)
    directory = Path(tempfile.mkdtemp(prefix="accord-")) if out is None else Path(out)
    result = run(what, directory, resume=resume, progress=progress, parts=parts, trackers=trackers)
    return finish(result)


def finish(result: Result) -> Model:
    """Write the report of a run and return its model."""
    write_report(result.directory)
    return Model(result.trained, result.metrics, result.directory)


def load(
    directory: str | Path,
    *,
    trunk: Any = None,
    heads: Mapping[str, Any] | None = None,
    text: TextChoice | None = None,
) -> Model:
    """Read a run directory back; nothing in it can execute code.

    Args:
        directory: written by :func:`fit`, ``accord fit`` or :meth:`Model.save`.
        trunk: the module the run was trained with, where it was your own.
        heads: likewise.
        text: the text encoder the run was trained with, where it was your own function or its folder has moved.

    Raises:
        RunError: not a run directory, or a damaged one.
        ConfigurationError: free text was read by an encoder that is not there.
    """
    parts = ModelParts(trunk, heads) if trunk is not None or heads is not None else None
    directory = Path(directory)
    return Model(Trained.load(directory, parts, text=text), read_json(directory / "metrics.json"), directory)
