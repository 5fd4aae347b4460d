"""The short names that functions such as ``accord.fit``, and the verbs of the command, have for options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from accord.errors import ConfigurationError, suggest
from accord.training.spec import EvaluationSpec, TrainingSpec

# Where each keyword of ``accord.fit``, and each option of ``accord fit``, lives in the specification.
SHORT = {
    "sharing": "model.sharing",
    "sharing_options": "model.options",
    "stem": "model.stem",
    "tower": "model.tower",
    "balancing": "balancing.method",
    "balancing_options": "balancing.options",
    "engine": "balancing.engine",
    "sampling": "sampling.method",
    "sampling_options": "sampling.options",
    "sampling_rows": "sampling.rows",
    "conflict": "balancing.conflict",
    "query": "data.query",
    "columns": "data.columns",
    "non_finite": "data.non_finite",
    "split": "data.split.method",
    "split_column": "data.split.column",
    "seed": "seed",
    **{f.name: f"training.{f.name}" for f in fields(TrainingSpec)},
    **{f.name: f"evaluation.{f.name}" for f in fields(EvaluationSpec)},
}

_KEYWORDS = (*SHORT, "tasks", "targets", "test", "text", "out", "resume", "trunk", "heads", "progress", "trackers")


def changes_of(function: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword options as dotted options of the specification; an unknown one is an error of ``function``."""
    for name in options:
        if name not in SHORT:
            raise ConfigurationError(f"{function} has no option {name!r}. {suggest(name, _KEYWORDS)}")
    return {SHORT[name]: value for name, value in options.items()}
