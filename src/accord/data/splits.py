"""Training, validation and test rows: given, random, stratified over all targets, grouped, or by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from accord.data.dates import find_format, moments
from accord.data.engine import arrow
from accord.data.stratify import label_codes, stratified
from accord.data.table import Table
from accord.data.values import BadCell
from accord.errors import ConfigurationError, DataError, suggest

SplitMethod = Literal["given", "random", "stratified", "grouped", "time"]
METHODS: tuple[SplitMethod, ...] = ("given", "random", "stratified", "grouped", "time")

Targets = Mapping[str, np.ndarray] | Sequence[np.ndarray]

_LABELS = {
    "train": {"train", "training", "trn", "fit"},
    "validation": {"validation", "valid", "val", "dev", "development"},
    "test": {"test", "testing", "tst", "eval", "evaluation", "holdout"},
}


class Split(NamedTuple):
    """Row numbers of each part, int64, rising; no row is in two parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(
    table: Table,
    method: str = "stratified",
    *,
    column: str | None = None,
    beside: Table | None = None,
    validation: float = 0.1,
    test: float = 0.2,
    targets: Targets = (),
    seed: int = 0,
) -> Split:
    """Divide the rows of ``table``; the same arguments always give the same parts.

    Args:
        table: the table; a given test table must have been joined to it (``table.joined()``).
        method: ``"given"`` (the table's own parts, or a ``column`` that says train, validation or test),
            ``"random"``, ``"stratified"`` over all targets jointly, ``"grouped"`` (no value of ``column`` in two
            parts) or ``"time"`` (``column`` rises from train to test, and equal times stay together).
        column: of the given labels, the groups or the times.
        beside: a table of as many rows, in the same order, that has the given labels, with its ``column`` (``part``
            where none is named): how a division that was made once is used again.
        validation: share of rows; where a given split names no validation rows, the share of its training rows.
        test: likewise.
        targets: labels, by name or in order: codes ``[N]`` (negative for missing) or numbers ``[N]`` or ``[N, K]``
            (NaN for missing). They are what ``"stratified"`` balances, and with any method what every part must have.
        seed: of everything drawn by lot.

    Raises:
        ConfigurationError: an unknown method, shares that leave no training rows, or a missing ``column``.
        DataError: too few rows or groups, labels that cannot be read, or a target that is absent or constant in a part.
    """
    if method not in METHODS:
        raise ConfigurationError(f"unknown split method {method!r}. {suggest(method, METHODS)}")
    if beside is not None:
        _check_beside(table, method, beside)
        column = column or "part"
    _check(beside or table, method, column, validation, test)
    named = dict(targets) if isinstance(targets, Mapping) else {str(i + 1): t for i, t in enumerate(targets)}
    for name, values in named.items():
        if len(values) != table.num_rows:
            raise DataError(f"target {name} has {len(values):,} labels for {table.num_rows:,} rows")
    shares = (1.0 - validation - test, validation, test)
    rng = np.random.default_rng(seed)
    if method == "given":
        parts = _given(beside or table, column, shares, list(named.values()), rng)
    elif method == "grouped":
        parts = _grouped(table, column or "", shares, rng)
    elif method == "time":
        parts = _by_time(table, column or "", shares)
    else:
        parts = _drawn(table.num_rows, list(named.values()) if method == "stratified" else [], shares, rng)
    result = Split(*(np.flatnonzero(parts == part) for part in range(3)))
    _check_parts(table, result, shares, named)
    return result


def _check_beside(table: Table, method: str, beside: Table) -> None:
    if method != "given":
        raise ConfigurationError(f"{beside.source} gives the parts, so the method is 'given', not {method!r}")
    if beside.num_rows != table.num_rows:
        raise DataError(
            f"{beside.source} has {beside.num_rows:,} rows and {table.source} {table.num_rows:,}: it says the part "
            "of every row, in the same order; make it anew, or leave it out"
        )


def _check(table: Table, method: str, column: str | None, validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise ConfigurationError(f"the {name} share must be at least 0 and below 1, got {share}")
    if validation + test >= 1:
        raise ConfigurationError(f"validation {validation} and test {test} leave no rows for training")
    if method in ("grouped", "time") and column is None:
        raise ConfigurationError(f"the {method} split needs column=, the name of the {_MEANING[method]} column")
    if column is not None:
        table.require([column])
    if table.num_rows < 3:
        raise DataError(f"{table.source} has {table.num_rows} row(s); a split needs at least 3")
    if table.test is not None:
        raise DataError(f"{table.source} has given test rows in a table of their own; split table.joined() instead")


_MEANING = {"grouped": "group", "time": "time"}


def _drawn(rows: int, targets: list[np.ndarray], shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    # Without targets every row has the same label, and stratification is a plain random split.
    labels = label_codes(targets) if targets else np.zeros((rows, 1), dtype=np.int64)
    return stratified(labels, shares, rng)


def _given(
    table: Table, column: str | None, shares: Sequence[float], targets: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    if column is not None:
        parts = _labelled(table, column)
    elif table.parts:
        parts = np.empty(table.num_rows, dtype=np.int8)
        for name, rows in table.parts.items():
            parts[rows.start : rows.stop] = _part(name, table.source)
    else:
        raise DataError(
            f"{table.source} gives no split: name a column of train/validation/test labels, or a test table"
        )
    wanted = [0.0 if (parts == part).any() else shares[part] for part in (1, 2)]
    train = np.flatnonzero(parts == 0)
    own = (1.0 - sum(wanted), *wanted)
    parts[train] = _drawn(len(train), [np.asarray(t)[train] for t in targets], own, rng)
    return parts


def _labelled(table: Table, column: str) -> np.ndarray:
    codes, labels = table.codes(column)
    if (codes < 0).any():
        raise DataError(f"column {column!r} does not say to which part row {int(np.argmin(codes))} belongs")
    return np.array([_part(label, f"column {column!r}") for label in labels], dtype=np.int8)[codes]


def _part(label: str, where: str) -> int:
    for part, names in enumerate(_LABELS.values()):
        if label.lower() in names:
            return part
    raise DataError(f"{where}: {label!r} is no part; write train, validation or test")


def _grouped(table: Table, column: str, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    codes, labels = table.codes(column)
    wanted = sum(share > 0 for share in shares)
    # A row without a group belongs with no other row.
    alone = np.flatnonzero(codes < 0)
    groups = codes.astype(np.int64)
    groups[alone] = len(labels) + np.arange(len(alone))
    sizes = np.bincount(groups)
    if len(sizes) < wanted:
        raise DataError(f"column {column!r} has {len(sizes)} group(s), too few for {wanted} parts")
    room = np.asarray(shares, dtype=float) * len(codes)
    # Large groups first, equal ones by lot: the small ones then even out what is left.
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    home = np.empty(len(sizes), dtype=np.int8)
    for group in order:
        part = int(np.argmax(np.where(np.asarray(shares) > 0, room, -np.inf)))
        home[group] = part
        room[part] -= sizes[group]
    return home[groups]


def _by_time(table: Table, column: str, shares: Sequence[float]) -> np.ndarray:
    times = _times(table, column)
    if np.isnan(times).any():
        raise DataError(f"column {column!r} has no time in row {int(np.isnan(times).argmax())}; drop or fill such rows")
    ordered = np.sort(times)
    parts = np.zeros(len(times), dtype=np.int8)
    for part in (1, 2):
        first = round(len(times) * sum(shares[:part]))
        if shares[part] > 0 and first < len(times):
            parts[times >= ordered[first]] = part
    return parts


def _times(table: Table, column: str) -> np.ndarray:
    codes, labels = table.codes(column) if table.types[column].endswith("string") else (None, ())
    form, _ = find_format(labels)
    if codes is None or not form:
        return table.numbers([column])[:, 0]
    try:
        values = moments(arrow().array(labels), form, table.missing)
    except BadCell as bad:
        raise DataError(f"column {column!r}: expected times written as {form}, found {bad.value!r}") from bad
    return np.append(values, np.nan)[codes]


def _check_parts(table: Table, parts: Split, shares: Sequence[float], targets: Mapping[str, np.ndarray]) -> None:
    for name, rows, share in zip(parts._fields, parts, shares, strict=True):
        if share > 0 and not len(rows):
            raise DataError(
                f"{table.source}: no row of {table.num_rows:,} falls into the {name} part; enlarge its share"
            )
        if len(rows):
            for target, values in targets.items():
                _check_target(target, np.asarray(values)[rows], name)


def _check_target(target: str, values: np.ndarray, part: str) -> None:
    coded = values.dtype.kind in "iub"
    table = values.reshape(len(values), -1)
    known = table[(table >= 0).any(axis=1) if coded else ~np.isnan(table).all(axis=1)]
    if not len(known):
        raise DataError(f"target {target} has no label in the {part} rows; choose another split or a larger share")
    # A number may well be constant in a few test rows; a class that is alone leaves nothing to measure.
    if (known == known[0]).all() and (coded or part == "train"):
        raise DataError(f"target {target} is constant in the {part} rows; choose another split or a larger share")
