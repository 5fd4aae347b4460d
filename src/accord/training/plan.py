"""What a run will do, before it does it: the complete specification and what was inferred about the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.data import Column, Schema, Table
from accord.errors import ConfigurationError, DataError
from accord.tasks import Task
from accord.training.frozen_text import TextChoice, recorded
from accord.training.prepare import label_columns, open_source, read_schema
from accord.training.spec import IN_MEMORY, DataSpec, Spec

MOST_CLASSES = 100


@dataclass(frozen=True)
class Plan:
    """A resolved specification with the table it is for.

    Attributes:
        spec: complete; ``spec.to_yaml()`` is re-runnable.
        table: opened, not read.
        schema: the inferred columns, with the corrections of the specification.
        text: the frozen text encoder where it is not the one that ``spec`` names.
    """

    spec: Spec
    table: Table
    schema: Schema
    text: TextChoice | None = None

    def __str__(self) -> str:
        return str(self.schema)


def plan(
    source: Any = None,
    *,
    tasks: Sequence[Task] = (),
    targets: Sequence[str] = (),
    spec: Spec | None = None,
    options: Mapping[str, Any] | None = None,
    test: Any = None,
    text: TextChoice | None = None,
) -> Plan:
    """Resolve a run.

    Args:
        source: anything :func:`accord.data.open_table` opens; not needed when ``spec`` names its source.
        tasks: what to predict, with kinds and options.
        targets: columns to predict whose kinds are inferred; in addition to ``tasks``.
        spec: a complete specification instead of ``tasks`` and ``targets``.
        options: dotted options of the specification, e.g. ``{"training.epochs": 3}``.
        test: a second table that holds the test rows, anything ``source`` may be.
        text: ``"hashed"``, the folder of a transformer, or a function from a list of texts to an array ``[n, d]``.

    Raises:
        ConfigurationError: nothing to predict, or an unknown option.
        DataError: the table cannot be read or a target cannot be predicted.
    """
    if spec is not None:
        table = open_source(spec, source, test)
        known = spec.parsed_tasks()
        return Plan(spec, table, read_schema(spec, table, label_columns(known), known), text)
    if source is None:
        raise ConfigurationError("give a table, or a specification that names one")
    if not tasks and not targets:
        raise ConfigurationError("nothing to predict: name target columns, or give tasks")
    changes = dict(options or {})
    if test is not None:
        changes["data.test"] = _where(test)
    if text is not None:
        changes["data.text"] = recorded(text)
    table, draft = _opened(source, test, changes)
    return Plan(*_resolved(table, draft, tasks, targets), text)


def _where(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else IN_MEMORY


def _opened(source: Any, test: Any, changes: Mapping[str, Any]) -> tuple[Table, Spec]:
    # A first specification with placeholder tasks validates the options that opening the table depends on.
    draft = Spec(DataSpec(_where(source)), ({"name": "draft", "kind": "regression"},)).override(changes)
    return open_source(draft, source, test), draft


def _resolved(table: Table, draft: Spec, tasks: Sequence[Task], targets: Sequence[str]) -> tuple[Spec, Table, Schema]:
    names = [*label_columns(tasks), *targets]
    table.require(names)
    schema = read_schema(draft, table, names, tasks)
    resolved = (*tasks, *(infer_task(schema[name], schema.rows) for name in targets))
    return draft.with_tasks(resolved), table, schema


def infer_task(column: Column, rows: int) -> Task:
    """Return the task that predicts ``column``: two values are binary, categories multiclass, numbers regression.

    Raises:
        DataError: the column is constant, or holds dates, identifiers or free text.
    """
    if column.kind == "constant":
        raise DataError(f"target {column.name!r} has the same value in all {rows:,} rows; there is nothing to learn")
    if column.kind == "boolean" or column.distinct == 2:
        return Task(column.name, "binary")
    if column.kind in ("categorical", "text") and column.distinct <= MOST_CLASSES:
        return Task(column.name, "multiclass")
    if column.kind == "numeric":
        return Task(column.name, "regression")
    raise DataError(
        f"target {column.name!r} looks like {column.kind} with {column.distinct:,} different values, and no kind of "
        f"task follows from that. Say what it is, e.g. accord.Task({column.name!r}, kind='regression')."
    )
