"""A specification per group, ready for ``accord fit``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from accord.data import write_parquet
from accord.grouping.partition import Partition
from accord.grouping.study import GroupStudy
from accord.training import Spec
from accord.training.files import write_text
from accord.training.prepare import Prepared, label_columns
from accord.training.spec import IN_MEMORY

FOLDER = "groups"
PARTS = "parts.parquet"


def write_specs(study: GroupStudy, partition: Partition, prepared: Prepared) -> list[Path]:
    """Write ``groups/group-1.yaml`` and so on; return where they are. What stood there before is replaced.

    Beside them ``parts.parquet`` says which rows were trained on: a split that is stratified over all tasks draws
    others for the tasks of one group.
    """
    folder = study.directory / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    named = np.empty(sum(map(len, prepared.parts.values())), dtype=object)
    for part, rows in prepared.parts.items():
        named[rows.numpy()] = part
    write_parquet(folder / PARTS, {"part": named.tolist()})
    paths = []
    for number in range(len(partition.groups)):
        paths.append(folder / f"group-{number + 1}.yaml")
        write_text(paths[-1], group_spec(study, partition, number).to_yaml())
    return paths


def group_spec(study: GroupStudy, partition: Partition, number: int) -> Spec:
    """Return what trains one group exactly as it was measured.

    The labels and row weights of tasks outside the group must not turn into features: they are dropped. A table that
    came from memory is read from where the grouping kept it.
    """
    tasks = study.spec.parsed_tasks()
    inside = [tasks[t] for t in partition.groups[number]]
    used = {*label_columns(inside), *(task.sample_weight for task in inside)}
    others = [*label_columns(tasks), *(task.sample_weight for task in tasks if task.sample_weight)]
    spec = study.spec.with_tasks(tuple(inside))
    changes: dict[str, object] = {
        "data.columns": {**spec.data.columns, **{name: "drop" for name in others if name not in used}},
        "data.split.method": "given",
        "data.split.column": None,
        "data.split.file": str((study.directory / FOLDER / PARTS).resolve()),
    }
    if spec.data.source == IN_MEMORY:
        changes["data.source"] = str((study.directory / "train.parquet").resolve())
        test = study.directory / "test.parquet"
        changes["data.test"] = str(test.resolve()) if test.exists() else None
    return spec.override(changes)
