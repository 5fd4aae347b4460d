"""A grouping's directory: what is asked, the data it is asked of, and the records so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.comparing.pool import Runs
from accord.comparing.records import Job, Ledger
from accord.comparing.study import TABLE, digest, keep_table, kept_table, material
from accord.errors import ConfigurationError, RunError
from accord.grouping.members import key_of, tasks_of
from accord.grouping.spec import GroupSpec, parse_group
from accord.holding import holding
from accord.training import Plan, Spec
from accord.training.environment import pick_device
from accord.training.files import write_text, writing
from accord.training.interrupt import Stop
from accord.training.prepare import Prepared
from accord.training.same_table import check_free, same_table
from accord.training.sections import read_section, section_yaml
from accord.training.spec import IN_MEMORY
from accord.training.strict import encode

YAML, JSON = "group.yaml", "group.json"


@dataclass(frozen=True)
class GroupStudy:
    """One question which tasks should train together.

    Attributes:
        directory: holds ``group.yaml``, the records, and in the end ``group.json``, ``group.html`` and ``groups/``.
        spec: of every run, but for its tasks and seed.
        group: how tasks are divided.
    """

    directory: Path
    spec: Spec
    group: GroupSpec

    worker = "accord.grouping.worker"

    @classmethod
    def read(cls, directory: Path) -> GroupStudy:
        """Read the study in ``directory``.

        Raises:
            ConfigurationError: there is none, or it is no longer a valid one.
        """
        spec, group = read_section(directory / YAML, "group")
        return cls(directory, spec, parse_group(group))

    def __post_init__(self) -> None:
        tasks = self.spec.parsed_tasks()
        if len(tasks) < 2:
            raise ConfigurationError("to make groups takes at least two tasks")
        conditional = next((task for task in tasks if task.given is not None), None)
        if conditional is not None:
            raise ConfigurationError(
                f"task {conditional.name!r} is given {conditional.given!r} and cannot be trained without it: tasks "
                "that are conditional on others cannot be divided into groups; leave it out"
            )
        self.group.make_affinity(len(tasks))
        self.group.make_partitioner(len(tasks)).check(len(tasks))
        if self.merged_epochs and self.merged_epochs >= self.spec.training.epochs:
            raise ConfigurationError("merged needs at least two epochs: one before the split and one after")

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks' names, in order."""
        return tuple(task.name for task in self.spec.parsed_tasks())

    @property
    def everybody(self) -> tuple[int, ...]:
        """All tasks."""
        return tuple(range(len(self.spec.tasks)))

    @property
    def ledger(self) -> Ledger:
        """The records, with no notes yet."""
        return Ledger(self.directory / "records")

    @property
    def merged_epochs(self) -> int:
        """Epochs that all tasks train together before they are split."""
        fraction = self.group.merged
        return max(1, round(fraction * self.spec.training.epochs)) if fraction else 0

    def probe(self) -> Job:
        """Return the run of all tasks that affinities look on at."""
        return Job(key_of(self.everybody), "tune", 0, 0)

    def run_spec(self, job: Job) -> Spec:
        """Return the specification of one run, but for its tasks."""
        seed = self.spec.seed + (0 if job.stage == "tune" else 1 + job.number)
        changes: dict[str, Any] = {"seed": seed}
        if job.entrant.startswith("merged"):
            changes |= {"training.epochs": self.merged_epochs, "training.patience": 0}
        elif job.entrant.startswith("split"):
            changes["training.epochs"] = self.spec.training.epochs - self.merged_epochs
        return self.spec.override(changes)

    def asked(self, job: Job) -> str:
        """Return the digest of everything that decides the result of ``job``."""
        looks: list[Any] = []
        if job == self.probe():
            looks = [self.group.affinity, encode(self.group.affinity_options)]
        elif job.entrant.startswith("split"):
            looks = [self.merged_epochs]
        return digest([material(self.run_spec(job)), job.entrant, job.stage, looks])

    def table(self) -> Any:
        """Open the table; one that came from memory was kept in the directory."""
        return kept_table(self.spec, self.directory)

    def label(self, job: Job) -> str:
        """Return what a person calls ``job``."""
        tasks = tasks_of(job.entrant)
        names = self.names
        shown = "all tasks" if len(tasks) == len(names) else ", ".join(names[t] for t in tasks[:4])
        more = f" and {len(tasks) - 4} more" if 4 < len(tasks) < len(names) else ""
        part = {"merged": " before the split", "split": " after the split"}.get(job.entrant.split("-")[0], "")
        return f"{shown}{more}{part}, {'probe' if job.stage == 'tune' else f'seed {job.number + 1}'}"

    def laboratory(self, stop: Stop, *, threads: int, prepared: Prepared | None = None) -> Runs:
        """Return what makes the runs."""
        from accord.grouping.laboratory import GroupRuns

        return GroupRuns(self, stop, threads=threads, prepared=prepared)


def begin(plan: Plan, group: GroupSpec, out: Path, *, resume: bool) -> GroupStudy:
    """Claim the directory ``out`` for a grouping, or with ``resume`` go on with the one that is there.

    With ``resume`` a finished proposal may be measured, or measured with more seeds: runs that are there are kept.

    Raises:
        ConfigurationError: the tasks or options do not allow it; or free text read by a function, which other processes
            cannot have.
        RunError: the directory is taken, belongs to another grouping or table, or cannot be written.
    """
    if callable(plan.text):
        raise ConfigurationError("group reads free text hashed or by the folder of a transformer, not by a function")
    study = GroupStudy(out, plan.spec, group)
    pick_device(plan.spec.training.device)
    existing = out / YAML
    if resume and existing.exists():
        before = GroupStudy.read(out)
        if before.spec != study.spec:
            raise RunError(f"{out} holds a grouping of other runs; resume it with its own specification: {existing}")
    else:
        check_free(out, "grouping")
        if plan.spec.data.source == IN_MEMORY:
            keep_table(plan.table, out)
        with writing(existing):
            out.mkdir(parents=True, exist_ok=True)
    with holding(out):  # what a process that is at work goes by does not change under it
        write_text(existing, section_yaml(plan.spec, "group", group))
        same_table(out, out / TABLE, study.table())
    return study
