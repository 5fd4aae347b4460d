"""From a specification and a table to tensors: schema, split, leakage, features, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.data import (
    FeatureEncoder,
    Features,
    Leak,
    Schema,
    Table,
    count_infinite,
    find_leakage,
    infer_schema,
    open_table,
    split,
)
from accord.errors import DataError
from accord.tasks import Labels, Objectives, Target, Task
from accord.training.environment import pick_device
from accord.training.frozen_text import TextChoice, text_encoder
from accord.training.progress import Progress
from accord.training.sampled import check_pools, pools_of
from accord.training.spec import IN_MEMORY, Spec


@dataclass(frozen=True)
class Prepared:
    """Everything a run trains and judges on.

    Attributes:
        objectives: the tasks, fitted on the training rows.
        targets: encoded labels of all rows, one per task.
        features: of all rows.
        feature_encoder: fitted on the training rows.
        parts: row numbers of ``train``, ``validation`` and ``test``.
        schema: of every column.
        leaks: features that alone nearly determine a target.
        notes: choices made from the data that a person may want to change.
    """

    objectives: Objectives
    targets: Sequence[Target]
    features: Features
    feature_encoder: FeatureEncoder
    parts: Mapping[str, Tensor]
    schema: Schema
    leaks: tuple[Leak, ...]
    notes: Sequence[str] = ()


def open_source(spec: Spec, source: Any = None, test: Any = None) -> Table:
    """Open the table of ``spec``; ``source`` and ``test`` stand in for tables that live in memory only."""
    if source is None and spec.data.source == IN_MEMORY:
        raise DataError("this run was trained on a table in memory; give that table again: accord.fit(table, ...)")
    if test is None and spec.data.test == IN_MEMORY:
        raise DataError("this run was judged on a test table in memory; give that table again: accord.fit(test=...)")
    where = spec.data.source if source is None else source
    return open_table(where, query=spec.data.query, test=spec.data.test if test is None else test).joined()


def label_columns(tasks: Sequence[Task]) -> list[str]:
    """Return the label columns of all tasks."""
    return list(dict.fromkeys(column for task in tasks for column in task.columns))


def read_schema(spec: Spec, table: Table, targets: Sequence[str], tasks: Sequence[Task]) -> Schema:
    """Infer the schema, with the corrections of ``spec``; columns with a job of their own are no features."""
    s = spec.data.split
    jobs = [task.sample_weight for task in tasks if task.sample_weight]
    jobs += [s.column] if s.column and not s.file and s.method in ("auto", "given") else []
    return infer_schema(table, targets, overrides={**dict.fromkeys(jobs, "drop"), **spec.data.columns})


def read_labels(table: Table, task: Task) -> Labels:
    """Read the label columns of ``task`` for all rows."""
    table.require(list(task.columns))
    weights = table.numbers([task.sample_weight])[:, 0] if task.sample_weight else None
    if len(task.columns) == 1 and task.kind not in ("regression", "count", "quantile", "multilabel"):
        codes, categories = table.codes(task.columns[0])
        return Labels(codes=codes, categories=categories, weights=weights)
    return Labels(numbers=table.numbers(list(task.columns)), weights=weights)


def prepare(spec: Spec, table: Table, schema: Schema | None = None, *, text: TextChoice | None = None) -> Prepared:
    """Return tensors for ``spec``.

    Args:
        spec: what to do.
        table: opened.
        schema: of the table; inferred when left out.
        text: stands in for the frozen text encoder that ``spec`` names.

    Raises:
        DataError: the table cannot be used as asked; the message names the column and the reason.
    """
    tasks = spec.parsed_tasks()
    names = label_columns(tasks)
    schema = schema or read_schema(spec, table, names, tasks)
    labels = {task.name: read_labels(table, task) for task in tasks}
    parts = divide(spec, table, labels)
    train = parts["train"].numpy()
    objectives = Objectives.fit(tasks, labels, train)
    targets = objectives.encode(labels)
    check_parts(objectives, targets, parts)
    encoder = fit_features(spec, table, schema, train, text)
    leaks = tuple(find_leakage(table, schema, names, train))
    notes = [note for encoder in objectives.encoders for note in encoder.notes]
    if spec.data.non_finite == "missing":
        infinite = count_infinite(table, schema)
        notes += [f"column {name!r}: {count:,} infinite, taken as missing" for name, count in infinite.items()]
    if spec.sampling.method is not None:
        note = check_pools(objectives.names, pools_of(targets, parts["train"]))
        notes += [note] if note else []
    return Prepared(objectives, targets, encoder.transform(table), encoder, parts, schema, leaks, notes)


def read(
    spec: Spec, table: Table, progress: Progress, schema: Schema | None = None, *, text: TextChoice | None = None
) -> Prepared:
    """Return what :func:`prepare` does, and tell ``progress`` what is read and what nearly gives a target away."""
    progress.say(f"Reading {table.source} ({table.num_rows:,} rows)")
    prepared = prepare(spec, table, schema, text=text)
    for leak in prepared.leaks:
        progress.say(f"LEAKAGE? {leak}")
    return prepared


def fit_features(spec: Spec, table: Table, schema: Schema, rows: np.ndarray, text: TextChoice | None) -> FeatureEncoder:
    """Fit the encoder of the feature columns to the training ``rows``; a text encoder is opened only for free text."""
    free = any(column.kind == "text" for column in schema.features)
    reader = text_encoder(spec, text, pick_device(spec.training.device)) if free else "hashed"
    return FeatureEncoder.fit(table, schema, rows, text=reader, non_finite=spec.data.non_finite)


def divide(spec: Spec, table: Table, labels: Mapping[str, Labels]) -> dict[str, Tensor]:
    """Return the row numbers of each part."""
    s = spec.data.split
    method = s.method
    if method == "auto":
        method = "given" if table.parts or s.column or s.file else "stratified"
    found = split(
        table,
        method,
        column=s.column,
        beside=open_table(s.file) if s.file else None,
        validation=s.validation,
        test=s.test,
        targets={name: _column(label) for name, label in labels.items()},
        seed=s.seed,
    )
    return {name: torch.from_numpy(np.asarray(getattr(found, name), dtype=np.int64)) for name in found._fields}


def _column(label: Labels) -> np.ndarray:
    return label.codes if label.codes is not None else np.asarray(label.numbers)


def check_parts(objectives: Objectives, targets: Sequence[Target], parts: Mapping[str, Tensor]) -> None:
    """Raise a :class:`DataError` when a task cannot be judged on a part because no row there has a label."""
    for task, target in zip(objectives.names, targets, strict=True):
        for name in ("validation", "test"):
            if not bool(target.observed[parts[name]].any()):
                raise DataError(
                    f"task {task!r} has no label in the {name} rows ({len(parts[name]):,} rows): "
                    "choose another split or a larger part."
                )


def only(prepared: Prepared, index: int) -> Prepared:
    """Return the same data with task ``index`` alone, for its single-task baseline."""
    return replace(prepared, objectives=prepared.objectives.single(index), targets=(prepared.targets[index],))
