"""One fitted encoder per kind of column. Each reads Arrow batches and writes its part of the features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, cast

import numpy as np

from accord.data.dates import PARTS, calendar, moments
from accord.data.engine import arrow
from accord.data.features import FeatureLayout
from accord.data.numeric import BINS, Scale, ScaleFit
from accord.data.text import BUCKETS, MAX_WIDTH, TextEncoder, embed, hashed, ngram_ids
from accord.data.values import BadCell, codes, is_text, number, numbers, texts, value_type
from accord.errors import DataError

MIN_COUNT = 2
MAX_CATEGORIES = 50_000


@dataclass(frozen=True, slots=True)
class Options:
    """What people may choose about encoding.

    Attributes:
        bins: bins of the piecewise-linear embedding of each numeric feature.
        min_count: a category seen less often in the training rows shares code 0.
        max_categories: the most frequent categories kept of one column; the others share code 0.
        text_buckets: n-gram ids, padding included.
        non_finite: what to do with infinite numbers: ``"refuse"`` or take as ``"missing"``.
        missing: texts that count as missing.
    """

    bins: int = BINS
    min_count: int = MIN_COUNT
    max_categories: int = MAX_CATEGORIES
    text_buckets: int = BUCKETS
    non_finite: str = "refuse"
    missing: tuple[str, ...] = ()


class WrongType(TypeError):  # noqa: N818 - internal signal, turned into a DataError that names the column
    """A column's type is not the one that was learnt; the message says what was."""


class ColumnEncoder(ABC):
    """A column's fitted encoder."""

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        """Return ``{"numeric": [n, p], "indicators": [n, 1], "categorical": [n, 1], "text": [n, 1, k]}`` as apply."""

    @abstractmethod
    def layout(self, options: Options) -> FeatureLayout:
        """Return the part of the layout that this column takes up."""


class ColumnFit(ABC):
    """Sees the training rows of one column once and becomes a :class:`ColumnEncoder`."""

    @abstractmethod
    def update(self, array: Any, picked: np.ndarray) -> None:
        """Take in one batch of training rows; ``picked [n]`` marks those in the quantile sample."""

    @abstractmethod
    def finish(self) -> ColumnEncoder:
        """Return the fitted encoder."""


@dataclass(frozen=True, slots=True)
class NumericEncoder(ColumnEncoder):
    """One number to one standardised feature, with an indicator when training rows lacked some."""

    kind: ClassVar[str] = "numeric"
    name: str
    scale: Scale
    indicator: bool

    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        values = _finite(_plain_numbers(array, options), options)
        return _scaled(values[:, None], (self.scale,), self.indicator)

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return _numeric_layout(self.name, {"": self.scale}, self.indicator)


@dataclass(slots=True)
class NumericFit(ColumnFit):
    """Fits a :class:`NumericEncoder`."""

    name: str
    options: Options
    fit: ScaleFit = field(default_factory=ScaleFit)

    def update(self, array: Any, picked: np.ndarray) -> None:
        self.fit.update(_finite(_plain_numbers(array, self.options), self.options), picked)

    def finish(self) -> NumericEncoder:
        return NumericEncoder(self.name, self.fit.finish(self.options.bins), self.fit.missing)


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
        return _scaled(values, tuple(self.parts.values()), self.indicator)

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return _numeric_layout(self.name, self.parts, self.indicator)


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
        return _scaled(values[local], self.scales, indicator=False)

    def layout(self, options: Options) -> FeatureLayout:  # noqa: ARG002 - the same for all options
        return _numeric_layout(self.name, {str(i): scale for i, scale in enumerate(self.scales)}, indicator=False)


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


def to_state(encoder: ColumnEncoder) -> dict[str, Any]:
    """Return plain data for JSON; a frozen text encoder itself is not part of it."""
    if isinstance(encoder, EmbeddedTextEncoder):
        return {"kind": encoder.kind, "name": encoder.name, "scales": [asdict(scale) for scale in encoder.scales]}
    return {"kind": encoder.kind, **asdict(cast(Any, encoder))}


def from_state(state: Mapping[str, Any], text: TextEncoder | None) -> ColumnEncoder:
    """Rebuild a column encoder from :func:`to_state`; ``text`` is the frozen encoder where one was used."""
    kind, name = state["kind"], str(state["name"])
    if kind == "numeric":
        return NumericEncoder(name, _scale(state["scale"]), bool(state["indicator"]))
    if kind == "date":
        parts = {part: _scale(scale) for part, scale in state["parts"].items()}
        return DateEncoder(name, str(state["format"]), parts, bool(state["indicator"]))
    if kind == "categorical":
        return CategoricalEncoder(name, tuple(map(str, state["categories"])), bool(state["textual"]))
    if kind == "text":
        return HashedTextEncoder(name, int(state["width"]))
    if kind == "embedding":
        if text is None:
            raise DataError(f"column {name!r} was read by a frozen text encoder; pass the same one as text=")
        return EmbeddedTextEncoder(name, tuple(_scale(scale) for scale in state["scales"]), text)
    raise DataError(f"column {name!r} has an encoder of unknown kind {kind!r}")


def _scale(state: Mapping[str, Any]) -> Scale:
    return Scale(float(state["centre"]), float(state["factor"]), tuple(map(float, state["edges"])))


def _plain_numbers(array: Any, options: Options) -> np.ndarray:
    types = arrow().types
    if types.is_temporal(array.type) and not types.is_duration(array.type):
        raise WrongType("numbers")
    return numbers(array, frozenset(options.missing))


def _moments(array: Any, form: str, options: Options) -> np.ndarray:
    types = arrow().types
    kind = value_type(array.type)
    if not types.is_temporal(kind) and not is_text(kind) and not types.is_null(kind):
        raise WrongType("dates")
    if types.is_null(kind):
        return np.full(len(array), np.nan)
    # A column that was typed in training may come back as text, e.g. from CSV.
    return moments(array, form or "iso", frozenset(options.missing))


def _finite(values: np.ndarray, options: Options) -> np.ndarray:
    infinite = np.isinf(values)
    if infinite.any():
        if options.non_finite == "refuse":
            position = int(infinite.argmax())
            raise BadCell(position, str(values[position]))
        values = np.where(infinite, np.nan, values)
    return values


def _scaled(values: np.ndarray, scales: tuple[Scale, ...], indicator: bool) -> dict[str, np.ndarray]:
    result: dict[str, np.ndarray] = {"indicators": np.isnan(values[:, :1])} if indicator else {}
    if scales:
        result["numeric"] = np.stack([scale(x) for scale, x in zip(scales, values.T, strict=True)], axis=1)
    return result


def _numeric_layout(name: str, scales: Mapping[str, Scale], indicator: bool) -> FeatureLayout:
    titles = tuple(f"{name}.{part}" if part else name for part in scales)
    return FeatureLayout(
        numeric=titles,
        edges=tuple(scale.edges for scale in scales.values()),
        indicators=(name,) if indicator else (),
    )
