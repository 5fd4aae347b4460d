"""A table to features: fitted on the training rows, applied to any table with the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch

from accord.data.columns.base import MAX_CATEGORIES, MIN_COUNT, ColumnEncoder, ColumnFit, Options, WrongType
from accord.data.columns.state import fit_of, from_state, to_state
from accord.data.engine import arrow
from accord.data.features import FeatureLayout, Features, empty
from accord.data.numeric import BINS
from accord.data.schema import Column, Schema
from accord.data.table import Table, sample_rows
from accord.data.text import BUCKETS, TextEncoder
from accord.data.values import BadCell, value_type
from accord.errors import ConfigurationError, DataError, suggest

# Enough for quantiles within 0.3 percentage points; more only takes longer.
QUANTILE_ROWS = 100_000
_WRITE_ROWS = 4096


@dataclass(frozen=True)
class FeatureEncoder:
    """Fitted encoders of all features of a schema.

    Attributes:
        schema: the schema it was fitted with.
        columns: one encoder per feature column.
        options: how to encode.
    """

    schema: Schema
    columns: tuple[ColumnEncoder, ...]
    options: Options

    @classmethod
    def fit(
        cls,
        table: Table,
        schema: Schema,
        rows: np.ndarray | Sequence[int] | None = None,
        *,
        text: Literal["hashed"] | TextEncoder = "hashed",
        bins: int = BINS,
        min_count: int = MIN_COUNT,
        max_categories: int = MAX_CATEGORIES,
        text_buckets: int = BUCKETS,
        non_finite: Literal["refuse", "missing"] = "refuse",
        sample: int = QUANTILE_ROWS,
        seed: int = 0,
    ) -> FeatureEncoder:
        """Fit to the training ``rows`` of ``table`` (all when ``None``) in one pass, in memory of one batch.

        Category frequencies and the presence of missing values are exact; medians, quantiles and text lengths come
        from ``sample`` training rows drawn with ``seed``.

        Args:
            table: the table.
            schema: its schema; only columns with the role ``feature`` are read.
            rows: training rows; validation and test rows must not be among them.
            text: ``"hashed"`` n-grams, or a frozen encoder ``list[str] -> [n, d]``.
            bins: bins of the piecewise-linear embedding of each numeric feature.
            min_count: a category seen less often shares code 0 with missing and unseen ones, which trains that code.
            max_categories: the most frequent categories kept of one column.
            text_buckets: n-gram ids, padding included.
            non_finite: ``"refuse"`` infinite numbers by column and row, or take them as ``"missing"``.
            sample: training rows that quantiles are computed on.
            seed: of that sample.

        Raises:
            DataError: no features, no rows, an infinite number, a value of the wrong type (each by column and row).
        """
        _check_options(
            text,
            non_finite,
            bins=(bins, 1),
            min_count=(min_count, 1),
            text_buckets=(text_buckets, 2),
            sample=(sample, 1),
        )
        options = Options(bins, min_count, max_categories, text_buckets, non_finite, schema.missing_marks)
        chosen = np.arange(table.num_rows) if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
        if not schema.features or not len(chosen):
            raise DataError(f"{table.source}: there are no {'rows' if schema.features else 'features'} to learn from")
        fits = {column.name: fit_of(column, options, text) for column in schema.features}
        _update(table, fits, chosen, sample_rows(len(chosen), sample, seed), schema)
        return cls(schema, tuple(fit.finish() for fit in fits.values()), options)

    @property
    def layout(self) -> FeatureLayout:
        """What a model must know to read the features."""
        parts = [column.layout(self.options) for column in self.columns]
        return FeatureLayout(
            numeric=_join(part.numeric for part in parts),
            edges=_join(part.edges for part in parts),
            indicators=_join(part.indicators for part in parts),
            categorical=_join(part.categorical for part in parts),
            cardinalities=_join(part.cardinalities for part in parts),
            text=_join(part.text for part in parts),
            text_buckets=max((part.text_buckets for part in parts), default=0),
            text_width=max((part.text_width for part in parts), default=0),
        )

    def transform(self, table: Table, rows: np.ndarray | Sequence[int] | None = None) -> Features:
        """Encode ``rows`` of ``table`` (all when ``None``) in the given order, batch by batch.

        Categories that the training rows did not have become code 0; extra columns are ignored.

        Raises:
            DataError: a column is absent or of another type than in training (column, expected, found).
        """
        self._check_columns(table)
        index = None if rows is None else np.asarray(rows, dtype=np.int64)
        if index is not None and (np.diff(index) < 0).any():
            return self._reordered(table, index)
        arrays = empty(table.num_rows if index is None else len(index), self.layout)
        done = 0
        for numbers, batch in selected(table, [column.name for column in self.columns], index):
            self._write(batch, {name: array[done : done + len(numbers)] for name, array in arrays.items()}, numbers)
            done += len(numbers)
        return Features(**{name: torch.from_numpy(array) for name, array in arrays.items()})

    def to_state(self) -> dict[str, Any]:
        """Return plain data for JSON: schema, options and every column's fitted numbers and categories."""
        return {
            "schema": self.schema.to_dict(),
            "options": asdict(self.options),
            "columns": [to_state(column) for column in self.columns],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], *, text: TextEncoder | None = None) -> FeatureEncoder:
        """Rebuild an encoder from :meth:`to_state`; nothing in it is executed.

        Args:
            state: what :meth:`to_state` returned, also after a trip through JSON.
            text: the frozen text encoder, when one was used.

        Raises:
            DataError: it is not such a record.
        """
        try:
            options = dict(state["options"])
            options["missing"] = tuple(options["missing"])
            columns = tuple(from_state(column, text) for column in state["columns"])
            return cls(Schema.from_dict(state["schema"]), columns, Options(**options))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"not the record of a feature encoder: {error!r}") from error

    def _check_columns(self, table: Table) -> None:
        for column in self.columns:
            if column.name not in table.types:
                kind = self.schema[column.name].kind
                raise DataError(
                    f"{table.source} has no column {column.name!r}, which the model reads ({kind}). "
                    f"{suggest(column.name, table.names)}"
                )

    def _reordered(self, table: Table, index: np.ndarray) -> Features:
        order = np.argsort(index, kind="stable")
        inverse = torch.empty(len(order), dtype=torch.int64)
        inverse[torch.from_numpy(order)] = torch.arange(len(order))
        return Features(*(part.index_select(0, inverse) for part in self.transform(table, index[order]).parts()))

    def _write(self, batch: Any, arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        at = dict.fromkeys(arrays, 0)
        done: list[tuple[np.ndarray, np.ndarray]] = []
        for position, column in enumerate(self.columns):
            cells = batch.column(position)
            with explaining(self.schema[column.name], cells, rows):
                encoded = column.encode(cells, self.options)
            for section, values in encoded.items():
                done.append((arrays[section][:, at[section] : at[section] + values.shape[1]], values))
                at[section] += values.shape[1]
        # Columns are written a few rows at a time, so that these rows stay in the processor's cache meanwhile.
        for start in range(0, len(rows), _WRITE_ROWS):
            part = slice(start, start + _WRITE_ROWS)
            for target, values in done:
                # A text column may be narrower than the widest one; the rest stays padding.
                target[part][..., : values.shape[-1]] = values[part]


def selected(table: Table, names: list[str], rising: np.ndarray | None) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield ``(row numbers, batch of those rows)`` for row numbers in ``rising`` order, or for all rows."""
    if rising is not None and len(rising) and not (rising[0] >= 0 and rising[-1] < table.num_rows):
        raise DataError(f"{table.source}: rows must lie in 0..{table.num_rows - 1}, got {rising[0]}..{rising[-1]}")
    for start, batch in table.enumerate_batches(names):
        stop = start + batch.num_rows
        if rising is None:
            yield np.arange(start, stop), batch
            continue
        low, high = np.searchsorted(rising, [start, stop])
        rows = rising[low:high]
        if len(rows) == batch.num_rows and rows[0] == start and rows[-1] == stop - 1:
            yield rows, batch
        elif len(rows):
            yield rows, batch.take(arrow().array(rows - start))
        if high == len(rising):
            return


@contextmanager
def explaining(column: Column, cells: Any, rows: np.ndarray) -> Iterator[None]:
    """Turn what goes wrong in one column of one batch into a :class:`DataError` with column, row and values."""
    expected = {"numeric": "a number", "date": "a date"}.get(column.kind, column.kind)
    try:
        yield
    except BadCell as bad:
        hint = " (non_finite='missing' takes it as missing)" if "inf" in bad.value else ""
        row = int(rows[bad.position])
        raise DataError(f"column {column.name!r}, row {row}: expected {expected}, found {bad.value!r}{hint}") from bad
    except WrongType as wrong:
        raise DataError(f"column {column.name!r}: expected {wrong}, found {value_type(cells.type)}") from wrong
    except arrow().ArrowException as error:
        raise DataError(f"column {column.name!r}: expected {expected}, found {value_type(cells.type)}") from error


def _update(
    table: Table, fits: Mapping[str, ColumnFit], chosen: np.ndarray, sample: np.ndarray, schema: Schema
) -> None:
    done = 0
    for rows, batch in selected(table, list(fits), chosen):
        picked = np.zeros(len(rows), dtype=bool)
        low, high = np.searchsorted(sample, [done, done + len(rows)])
        picked[sample[low:high] - done] = True
        for position, (name, fit) in enumerate(fits.items()):
            with explaining(schema[name], batch.column(position), rows):
                fit.update(batch.column(position), picked)
        done += len(rows)


def _check_options(text: object, non_finite: str, **at_least: tuple[int, int]) -> None:
    if non_finite not in ("refuse", "missing"):
        raise ConfigurationError(f"non_finite={non_finite!r}: {suggest(non_finite, ('refuse', 'missing'))}")
    if text != "hashed" and not callable(text):
        raise ConfigurationError(f"text={text!r}: use 'hashed' or a function from a list of texts to an array [n, d]")
    for name, (value, low) in at_least.items():
        if value < low:
            raise ConfigurationError(f"{name} must be at least {low}, got {value}")


def _join(parts: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(parts))
