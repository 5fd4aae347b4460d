"""Free-text columns, hashed or embedded by a frozen encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from accord.data.columns.base import ColumnEncoder, ColumnFit, Options, numeric_layout, scaled
from accord.data.engine import arrow
from accord.data.features import FeatureLayout
from accord.data.numeric import Scale, ScaleFit
from accord.data.text import MAX_WIDTH, TextEncoder, embed, hashed, ngram_ids
from accord.data.values import codes, texts
from accord.errors import DataError


@dataclass(frozen=True, slots=True)
class HashedTextEncoder(ColumnEncoder):
    """A text to the ids of its words and word pairs."""

    kind: ClassVar[str] = "text"
    name: str
    width: int

    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        local, labels = codes(array, frozenset(options.missing))
        table = hashed([*labels, ""], options.text_buckets, self.width)
        return {"text": table[local][:, None, :]}

    def layout(self, options: Options) -> FeatureLayout:
        return FeatureLayout(text=(self.name,), text_buckets=options.text_buckets, text_width=self.width)


@dataclass(slots=True)
class HashedTextFit(ColumnFit):
    """Finds how many n-grams to keep: as many as 95 % of the sampled texts have, at most 64."""

    name: str
    options: Options
    lengths: list[int] = field(default_factory=list)

    def update(self, array: Any, picked: np.ndarray) -> None:
        chosen = array.filter(arrow().array(picked))
        some = texts(chosen, frozenset(self.options.missing))
        self.lengths.extend(len(ngram_ids(text)) for text in some if text)

    def finish(self) -> HashedTextEncoder:
        width = int(np.ceil(np.quantile(self.lengths, 0.95))) if self.lengths else 1
        return HashedTextEncoder(self.name, min(max(width, 1), MAX_WIDTH))


@dataclass(frozen=True, slots=True)
class EmbeddedTextEncoder(ColumnEncoder):
    """A text to the standardised numbers that a frozen text encoder gives it."""

    kind: ClassVar[str] = "embedding"
    name: str
    scales: tuple[Scale, ...]
    encoder: TextEncoder

    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        local, labels = codes(array, frozenset(options.missing))
        values = embed(self.encoder, [*labels, ""], self.name)
        if values.shape[1] != len(self.scales):
            raise DataError(
                f"the text encoder gives {values.shape[1]} numbers for column {self.name!r}, "
                f"but gave {len(self.scales)} when it was fitted"
            )
        return scaled(values[local], self.scales, indicator=False)

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return numeric_layout(self.name, {str(i): scale for i, scale in enumerate(self.scales)}, indicator=False)


@dataclass(slots=True)
class EmbeddedTextFit(ColumnFit):
    """Fits an :class:`EmbeddedTextEncoder` to the sampled texts."""

    name: str
    options: Options
    encoder: TextEncoder
    held: list[np.ndarray] = field(default_factory=list)

    def update(self, array: Any, picked: np.ndarray) -> None:
        some = texts(array.filter(arrow().array(picked)), frozenset(self.options.missing))
        if some:
            self.held.append(embed(self.encoder, some, self.name))

    def finish(self) -> EmbeddedTextEncoder:
        fits = [ScaleFit([column]) for column in np.concatenate(self.held).T] if self.held else []
        return EmbeddedTextEncoder(self.name, tuple(fit.finish(self.options.bins) for fit in fits), self.encoder)
