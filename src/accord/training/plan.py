"""What a run will do, before it does it: the complete specification and what was inferred about the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.data import Column, Schema, Table
from accord.errors import ConfigurationError, DataError
from accord.tasks import Task
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
    """

    spec: Spec
    table: Table
    schema: Schema

    def __str__(self) -> str:
        return str(self.schema)


def plan(
    source: Any = None,
    *,
    tasks: Sequence[Task] = (),
    targets: Sequence[str] = (),
    spec: Spec | None = None,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """Resolve a run.

    Args:
        source: anything :func:`accord.data.open_table` opens; not needed when ``spec`` names its source.
        tasks: what to predict, with kinds and options.
        targets: columns to predict whose kinds are inferred; in addition to ``tasks``.
        spec: a complete specification instead of ``tasks`` and ``targets``.
        options: dotted options of the specification, e.g. ``{"training.epochs": 3}``.

    Raises:
        ConfigurationError: nothing to predict, or an unknown option.
        DataError: the table cannot be read or a target cannot be predicted.
    """
    if spec is not None:
        table = open_source(spec, source)
        known = spec.parsed_tasks()
        return Plan(spec, table, read_schema(spec, table, label_columns(known), known))
    if source is None:
        raise ConfigurationError("give a table, or a specification that names one")
    if not tasks and not targets:
        raise ConfigurationError("nothing to predict: name target columns, or give tasks")
    return _from_columns(source, tasks, targets, dict(options or {}))


def _from_columns(source: Any, tasks: Sequence[Task], targets: Sequence[str], options: dict[str, Any]) -> Plan:
    data = DataSpec(source if isinstance(source, str) else IN_MEMORY)
    # A first specification with placeholder tasks validates the options that opening the table depends on.
    draft = Spec(data, ({"name": "draft", "kind": "regression"},)).override(options)
    table = open_source(draft, source)
    names = [*label_columns(tasks), *targets]
    table.require(names)
    schema = read_schema(draft, table, names, tasks)
    resolved = (*tasks, *(infer_task(schema[name], schema.rows) for name in targets))
    return Plan(draft.with_tasks(resolved), table, schema)


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
