"""Find out what each column of a table is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from accord.data.dates import find_format
from accord.data.kinds import guess
from accord.data.profile import Profile, profile
from accord.data.schema import USABLE, Column, Kind, Role, Schema
from accord.data.table import Table, sample_rows
from accord.data.values import is_text
from accord.errors import ConfigurationError, DataError, suggest

SAMPLE_ROWS = 50_000


def infer_schema(
    table: Table,
    targets: Sequence[str] = (),
    *,
    overrides: Mapping[str, str] | None = None,
    sample: int = SAMPLE_ROWS,
    seed: int = 0,
) -> Schema:
    """Return what each column of ``table`` is and whether a model should read it.

    Columns that the data set itself declares to be no features are dropped too, unless an override names their kind.
    Kinds are decided on a random sample of rows; that a column is constant or a duplicate, which would drop it, is then
    checked on all rows. Constants, exact duplicates of an earlier feature, identifiers and nested columns are dropped,
    each with its reason. A target is never dropped, and a feature that equals a target is left to ``find_leakage``,
    which says so aloud.

    Args:
        table: the table.
        targets: columns to predict.
        overrides: ``{column: kind}`` that people know better: numeric, categorical, boolean, date, text, or ``drop``.
        sample: number of rows to look at.
        seed: of the sample.

    Raises:
        DataError: the table is empty, or a column does not exist or cannot be of the kind asked for.
        ConfigurationError: an override names no kind.
    """
    corrections = dict(overrides or {})
    table.require(list(targets))
    table.require(list(corrections))
    for name, kind in corrections.items():
        if kind not in (*USABLE, "drop"):
            raise ConfigurationError(f"column {name!r} cannot be {kind!r}. {suggest(kind, (*USABLE, 'drop'))}")
    if table.num_rows == 0:
        raise DataError(f"{table.source} has no rows")
    profiles = _profiles(table, sample, seed)
    columns = [_column(table, name, profiles, name in targets, corrections.get(name)) for name in table.names]
    columns = _without_duplicates(table, columns, profiles, corrections)
    rows_read = min(sample, table.num_rows)
    return Schema(tuple(columns), table.num_rows, rows_read, tuple(sorted(table.missing)))


def _profiles(table: Table, sample: int, seed: int) -> dict[str, Profile]:
    flat = [name for name in table.names if name not in table.nested]
    some = table.take(sample_rows(table.num_rows, sample, seed), flat) if flat else None
    arrays: dict[str, Any] = {}
    if some is not None:
        data = some.to_arrow()
        arrays = {name: data.column(name).combine_chunks() for name in flat}
    return {name: profile(name, array, table.missing) for name, array in arrays.items()}


def _column(table: Table, name: str, profiles: Mapping[str, Profile], target: bool, override: str | None) -> Column:
    role: Role = "target" if target else "feature"
    if name in table.nested:
        why = "values with parts inside cannot be read; spread them over columns first"
        if target or override not in (None, "drop"):
            raise DataError(f"column {name!r} holds {table.types[name]}: {why}")
        return Column(name, "nested", "dropped", table.types[name], why)
    facts = profiles[name]
    kind, reason, form = guess(facts)
    if kind == "constant" and table.num_rows > facts.rows and not _constant_everywhere(table, name):
        kind, reason = "categorical" if is_text(facts.type) else "numeric", "nearly constant"
    if override == "drop":
        role, reason = "dropped", "dropped by you"
    elif name in table.excluded and not target and not override:
        role, reason = "dropped", table.excluded[name]
    elif override:
        kind, reason, form = _corrected(facts, override)
    elif not target and kind not in USABLE:
        role = "dropped"
    return Column(
        name, kind, role, table.types[name], reason, round(facts.missing, 6), facts.distinct, facts.examples(), form
    )


def _corrected(facts: Profile, override: str) -> tuple[Kind, str, str]:
    kind: Kind = next(k for k in USABLE if k == override)
    form = ""
    if kind == "date" and facts.labels:
        form, _ = find_format(facts.labels)
        if not form:
            raise DataError(f"column {facts.name!r} cannot be a date: no known format reads {facts.labels[0]!r}")
    if kind == "numeric" and facts.labels and facts.parsed < 1.0:
        raise DataError(f"column {facts.name!r} cannot be numeric: it holds texts such as {facts.examples()}")
    return kind, "corrected by you", form


def _without_duplicates(
    table: Table, columns: list[Column], profiles: Mapping[str, Profile], corrections: Mapping[str, str]
) -> list[Column]:
    first: dict[bytes, str] = {}
    result = []
    for column in columns:
        if column.role == "feature" and column.name not in corrections:
            original = first.setdefault(profiles[column.name].digest(), column.name)
            if original != column.name and _equal_everywhere(table, original, column.name, profiles):
                column = replace(column, kind="duplicate", role="dropped", reason=f"equals {original!r} in every row")
        result.append(column)
    return result


def _equal_everywhere(table: Table, left: str, right: str, profiles: Mapping[str, Profile]) -> bool:
    if profiles[left].rows == table.num_rows:
        return True
    for batch in table.batches([left, right]):
        pair = [profile(name, batch.column(name), table.missing).digest() for name in (left, right)]
        if pair[0] != pair[1]:
            return False
    return True


def _constant_everywhere(table: Table, name: str) -> bool:
    seen: set[str | float] = set()
    for batch in table.batches([name]):
        facts = profile(name, batch.column(name), table.missing)
        seen.update(facts.labels if facts.values is None else np.asarray(facts.uniques[:2]).tolist())
        if len(seen) > 1:
            return False
    return True
