"""Numeric columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from accord.data.columns.base import ColumnEncoder, ColumnFit, Options, WrongType, numeric_layout, scaled
from accord.data.engine import arrow
from accord.data.features import FeatureLayout
from accord.data.numeric import Scale, ScaleFit
from accord.data.values import BadCell, numbers


@dataclass(frozen=True, slots=True)
class NumericEncoder(ColumnEncoder):
    """One number to one standardised feature, with an indicator when training rows lacked some."""

    kind: ClassVar[str] = "numeric"
    name: str
    scale: Scale
    indicator: bool

    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        values = _finite(_numbers(array, options), options)
        return scaled(values[:, None], (self.scale,), self.indicator)

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return numeric_layout(self.name, {"": self.scale}, self.indicator)


@dataclass(slots=True)
class NumericFit(ColumnFit):
    """Fits a :class:`NumericEncoder`."""

    name: str
    options: Options
    fit: ScaleFit = field(default_factory=ScaleFit)

    def update(self, array: Any, picked: np.ndarray) -> None:
        self.fit.update(_finite(_numbers(array, self.options), self.options), picked)

    def finish(self) -> NumericEncoder:
        return NumericEncoder(self.name, self.fit.finish(self.options.bins), self.fit.missing)


def _numbers(array: Any, options: Options) -> np.ndarray:
    types = arrow().types
    if types.is_temporal(array.type) and not types.is_duration(array.type):
        raise WrongType("numbers")
    return numbers(array, frozenset(options.missing))


def _finite(values: np.ndarray, options: Options) -> np.ndarray:
    infinite = np.isinf(values)
    if infinite.any():
        if options.non_finite == "refuse":
            position = int(infinite.argmax())
            raise BadCell(position, str(values[position]))
        values = np.where(infinite, np.nan, values)
    return values
