"""Surveys in one pass that add up a few numbers, and surveys of which the second needs what the first found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.merging.block import Block
from accord.merging.survey import Part, Survey

Array = npt.NDArray[np.float64]
Measure = Callable[[Block], Array]


class Totals(Survey):
    """Numbers of every block, combined: sums, or extremes.

    Args:
        measure: returns those of a block, ``[k]``.
        combine: an associative ufunc, such as ``np.add`` or ``np.maximum``.

    ``found`` is ``[k]``.
    """

    def __init__(self, measure: Measure, combine: np.ufunc = np.add) -> None:
        self.measure = measure
        self.combine = combine

    def part(self) -> Part:
        return _Running(self.measure, self.combine)

    def take(self, parts: Sequence[Part]) -> None:
        values = [part.total for part in parts if isinstance(part, _Running) and part.total is not None]
        self.found = self.combine.reduce(values, axis=0) if values else None
        self.finished = True


class _Running(Part):
    def __init__(self, measure: Measure, combine: np.ufunc) -> None:
        self.measure = measure
        self.combine = combine
        self.total: Array | None = None

    def look(self, block: Block) -> None:
        values = self.measure(block)
        self.total = values if self.total is None else self.combine(self.total, values)


class Known(Survey):
    """Something known beforehand, for the beginning of a :class:`Chain`."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.finished = True

    def part(self) -> Part:
        raise AssertionError("a finished survey looks at nothing")

    def take(self, parts: Sequence[Part]) -> None:
        raise AssertionError("a finished survey takes nothing")


class Chain(Survey):
    """One survey after another.

    Args:
        first: the first one.
        following: makes the next one of what was found so far, one function for each survey after the first.
        later_bytes: the most that those after the first hold.

    ``found`` is the list of what each found.
    """

    def __init__(self, first: Survey, *following: Callable[[list[Any]], Survey | None], later_bytes: int = 0) -> None:
        self.bytes = max(first.bytes, later_bytes)
        self.found = []
        self._following = list(following)
        self._begin(first)

    def part(self) -> Part:
        assert self._current is not None
        return self._current.part()

    def take(self, parts: Sequence[Part]) -> None:
        assert self._current is not None
        self._current.take(parts)
        self._begin(self._current)

    def _begin(self, survey: Survey | None) -> None:
        """Go on with ``survey``, or with the first one after it that has anything left to look at."""
        while survey is None or survey.finished:
            self.found.append(None if survey is None else survey.found)
            if not self._following:
                self._current, self.finished = None, True
                return
            survey = self._following.pop(0)(self.found)
        self._current, self.stride = survey, survey.stride
