"""Date columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from accord.data.columns.base import ColumnEncoder, ColumnFit, Options, WrongType, numeric_layout, scaled
from accord.data.dates import PARTS, calendar, moments
from accord.data.engine import arrow
from accord.data.features import FeatureLayout
from accord.data.numeric import Scale, ScaleFit
from accord.data.values import is_text, value_type


@dataclass(frozen=True, slots=True)
class DateEncoder(ColumnEncoder):
    """A date to its trend and the circles of month, weekday and hour, as far as they vary in the training rows."""

    kind: ClassVar[str] = "date"
    name: str
    format: str
    parts: Mapping[str, Scale]
    indicator: bool

    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        columns = [PARTS.index(part) for part in self.parts]
        values = calendar(_moments(array, self.format, options))[:, columns]
        return scaled(values, tuple(self.parts.values()), self.indicator)

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return numeric_layout(self.name, self.parts, self.indicator)


@dataclass(slots=True)
class DateFit(ColumnFit):
    """Fits a :class:`DateEncoder`."""

    name: str
    format: str
    options: Options
    fits: list[ScaleFit] = field(default_factory=lambda: [ScaleFit() for _ in PARTS])

    def update(self, array: Any, picked: np.ndarray) -> None:
        values = calendar(_moments(array, self.format, self.options))
        for fit, column in zip(self.fits, values.T, strict=True):
            fit.update(column, picked)

    def finish(self) -> DateEncoder:
        scales = dict(zip(PARTS, (fit.finish(self.options.bins) for fit in self.fits), strict=True))
        varying = {part: scale for part, scale in scales.items() if scale.factor}
        return DateEncoder(self.name, self.format, varying, self.fits[0].missing)


def _moments(array: Any, form: str, options: Options) -> np.ndarray:
    types = arrow().types
    kind = value_type(array.type)
    if not types.is_temporal(kind) and not is_text(kind) and not types.is_null(kind):
        raise WrongType("dates")
    if types.is_null(kind):
        return np.full(len(array), np.nan)
    # A column that was typed in training may come back as text, e.g. from CSV.
    return moments(array, form or "iso", frozenset(options.missing))
