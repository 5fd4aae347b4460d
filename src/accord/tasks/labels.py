"""Labels as a table gives them: numbers, or codes into a list of categories; missing ones included."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.errors import DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The label column(s) of one task over N rows, before any encoding.

    Exactly one of ``numbers`` and ``codes`` is given.

    Attributes:
        numbers: ``[N, K]`` (or ``[N]``, taken as ``[N, 1]``), NaN where missing; booleans are 0 and 1.
        codes: ``[N]`` positions in ``categories``, -1 where missing.
        categories: the names that ``codes`` point at.
        weights: ``[N]`` finite, non-negative row weights; ``None`` means 1 each.

    Raises:
        DataError: shapes, codes or weights are not as described.
    """

    numbers: Floats | None = None
    codes: NDArray[np.int32] | None = None
    categories: tuple[str, ...] = ()
    weights: Floats | None = None

    def __post_init__(self) -> None:
        if (self.numbers is None) == (self.codes is None):
            raise DataError("Labels take either numbers or codes: give exactly one of the two.")
        if self.numbers is not None:
            numbers = np.asarray(self.numbers, np.float64)
            object.__setattr__(self, "numbers", numbers[:, None] if numbers.ndim == 1 else numbers)
        else:
            self._check_codes()
        if self.weights is not None:
            self._check_weights()

    def _check_codes(self) -> None:
        codes = np.asarray(self.codes)
        object.__setattr__(self, "categories", tuple(str(name) for name in self.categories))
        if codes.size and (codes.min() < -1 or codes.max() >= len(self.categories)):
            raise DataError(
                f"label codes run from {codes.min()} to {codes.max()}, "
                f"but there are {len(self.categories)} categories: codes must lie between -1 (missing) and "
                f"{len(self.categories) - 1}."
            )

    def _check_weights(self) -> None:
        weights = np.asarray(self.weights, np.float64)
        if weights.shape != (len(self),):
            raise DataError(f"{weights.shape} row weights for {len(self)} rows of labels: give one weight per row.")
        bad = ~(np.isfinite(weights) & (weights >= 0))
        if bad.any():
            raise DataError(
                f"row weight {weights[bad][0]:g} (row {int(bad.argmax())}, {int(bad.sum())} such rows): "
                "weights must be finite and not negative; use 0 to leave a row out."
            )

    def __len__(self) -> int:
        return len(self.codes) if self.numbers is None else len(self.numbers)  # pyright: ignore[reportArgumentType]

    def take(self, rows: NDArray[Any]) -> Labels:
        """Return the labels of ``rows`` (positions, or a boolean mask over all rows)."""
        return replace(
            self,
            numbers=None if self.numbers is None else self.numbers[rows],
            codes=None if self.codes is None else self.codes[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def as_numbers(self, name: str) -> Floats:
        """Return ``[N, K]`` numbers; categories that read as numbers are read, others are an error.

        Args:
            name: the task, for the message.

        Raises:
            DataError: a category is not a number, or a label is infinite.
        """
        numbers = self._parsed(name) if self.numbers is None else self.numbers
        infinite = np.isinf(numbers)
        if infinite.any():
            row = int(infinite.any(1).argmax())
            raise DataError(
                f"task {name!r}: {int(infinite.sum())} labels are infinite (first in row {row}). "
                "Replace them, or make them missing."
            )
        return numbers

    def _parsed(self, name: str) -> Floats:
        values = np.full(len(self.categories) + 1, np.nan)
        for position, category in enumerate(self.categories):
            try:
                values[position] = float(category)
            except ValueError:
                raise DataError(
                    f"task {name!r} needs numbers, but its labels hold {category!r}. "
                    'Choose kind "binary" or "multiclass", or turn the column into numbers.'
                ) from None
        return values[np.asarray(self.codes)][:, None]

    def as_classes(self, name: str) -> tuple[Integers, tuple[str, ...]]:
        """Return ``[N]`` codes (-1 missing) and the class names; numbers become classes in ascending order.

        Raises:
            DataError: several columns, or an infinite label.
        """
        if self.numbers is None:
            return np.asarray(self.codes, np.int64), self.categories
        numbers = self.as_numbers(name)
        if numbers.shape[1] != 1:
            raise DataError(f"task {name!r} takes one label column, not {numbers.shape[1]}: make a task of each.")
        column = numbers[:, 0]
        seen = ~np.isnan(column)
        values, codes = np.unique(column[seen], return_inverse=True)
        full = np.full(len(column), -1, np.int64)
        full[seen] = codes
        return full, tuple(number_name(value) for value in values)


def number_name(value: float) -> str:
    """Return the class name of a number: ``3.0`` is ``"3"``, ``0.5`` is ``"0.5"``."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
