"""Categorical and boolean columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from accord.data.columns.base import ColumnEncoder, ColumnFit, Options, WrongType
from accord.data.features import FeatureLayout
from accord.data.values import codes, is_text, number, value_type


@dataclass(frozen=True, slots=True)
class CategoricalEncoder(ColumnEncoder):
    """A category to its code: 1 for the most frequent in the training rows, 0 for missing, unseen or rare.

    Attributes:
        name: column name.
        categories: canonical texts in the order of their codes, from 1.
        textual: whether the training column held text; then numbers are refused at predict time, since every one
            would silently be an unseen category.
    """

    kind: ClassVar[str] = "categorical"
    name: str
    categories: tuple[str, ...]
    textual: bool

    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        local, labels = codes(array, frozenset(options.missing))
        if self.textual and labels and not is_text(value_type(array.type)):
            raise WrongType(f"text such as {', '.join(map(repr, self.categories[:2]))}")
        known = {text: code for code, text in enumerate(self.categories, 1)}
        lookup = np.array([known.get(text, 0) for text in labels] + [0], dtype=np.int32)
        return {"categorical": lookup[local][:, None]}

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return FeatureLayout(categorical=(self.name,), cardinalities=(len(self.categories) + 1,))


@dataclass(slots=True)
class CategoricalFit(ColumnFit):
    """Counts categories exactly and fits a :class:`CategoricalEncoder`."""

    name: str
    options: Options
    counts: Counter[str] = field(default_factory=Counter)
    textual: bool = False

    def update(self, array: Any, picked: np.ndarray) -> None:  # noqa: ARG002 - frequencies are exact, not sampled
        local, labels = codes(array, frozenset(self.options.missing))
        self.textual |= is_text(value_type(array.type)) and any(number(text) is None for text in labels)
        tally = np.bincount(local[local >= 0], minlength=len(labels))
        for text, count in zip(labels, tally.tolist(), strict=True):
            self.counts[text] += count

    def finish(self) -> CategoricalEncoder:
        frequent = [(text, n) for text, n in self.counts.items() if n >= self.options.min_count]
        # Ties go by text, so that the order of the rows cannot change the codes.
        frequent.sort(key=lambda pair: (-pair[1], pair[0]))
        kept = tuple(text for text, _ in frequent[: self.options.max_categories])
        return CategoricalEncoder(self.name, kept, self.textual)
