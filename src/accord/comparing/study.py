"""A comparison's directory: what is asked, the data it is asked of, and the records so far."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accord.comparing.entrants import Entrant, Trial, entrants
from accord.comparing.pool import Runs
from accord.comparing.records import Job, Ledger
from accord.comparing.spec import CompareSpec, parse_compare
from accord.data import Table, write_parquet
from accord.errors import ConfigurationError, RunError
from accord.training import Plan, Spec
from accord.training.environment import pick_device
from accord.training.files import write_text
from accord.training.interrupt import Stop
from accord.training.prepare import Prepared, open_source
from accord.training.same_table import check_free, same_table
from accord.training.sections import read_section, section_yaml
from accord.training.spec import IN_MEMORY
from accord.training.strict import encode

YAML, TABLE = "compare.yaml", "table.json"
# Settings that decide how fast a run is or who judges it, not what it computes.
IMMATERIAL = ("device", "threads", "checkpoint_seconds")


@dataclass(frozen=True)
class Study:
    """One comparison.

    Attributes:
        directory: holds ``compare.yaml``, the records, and in the end ``compare.json`` and ``compare.html``.
        spec: of every run, but for what is compared.
        compare: what is compared.
        entrants: who takes part, single-task models first, then tuned plain weights.
    """

    directory: Path
    spec: Spec
    compare: CompareSpec
    entrants: tuple[Entrant, ...]

    worker = "accord.comparing.worker"

    @classmethod
    def read(cls, directory: Path) -> Study:
        """Read the study in ``directory``.

        Raises:
            ConfigurationError: there is none, or it is no longer a valid one.
        """
        spec, compare = read_section(directory / YAML, "compare")
        return cls.of(directory, spec, parse_compare(compare))

    @classmethod
    def of(cls, directory: Path, spec: Spec, compare: CompareSpec) -> Study:
        """Return the study of ``spec`` and ``compare``; see :func:`accord.comparing.entrants.entrants` for errors."""
        return cls(directory, spec, compare, tuple(entrants(spec, compare)))

    @property
    def ledger(self) -> Ledger:
        """The records, with no notes yet."""
        return Ledger(self.directory / "records")

    def entrant(self, key: str) -> Entrant:
        """Return the entrant with this key."""
        return next(entrant for entrant in self.entrants if entrant.key == key)

    def trial(self, job: Job) -> Trial:
        """Return the setting that ``job`` trains."""
        return self.entrant(job.entrant).trial(self.spec, self.compare, job.trial)

    def seed(self, job: Job) -> int:
        """Return the seed of training: one for all tuning, fresh ones for the test rows, the same for every entrant."""
        return self.spec.seed + (0 if job.stage == "tune" else 1 + job.number)

    def run_spec(self, job: Job) -> Spec:
        """Return the specification of one run."""
        return self.entrant(job.entrant).spec(self.spec, self.trial(job), self.seed(job))

    def asked(self, job: Job) -> str:
        """Return the digest of everything that decides the result of ``job``."""
        whole = {**material(self.run_spec(job)), "only": self.entrant(job.entrant).task}
        return digest([whole, job.stage])

    def table(self) -> Table:
        """Open the table; one that came from memory was kept in the directory."""
        return kept_table(self.spec, self.directory)

    def laboratory(self, stop: Stop, *, threads: int, prepared: Prepared | None = None) -> Runs:
        """Return what makes the runs in this process."""
        from accord.comparing.trials import Trials

        return Trials(self, stop, threads=threads, prepared=prepared)


def begin(plan: Plan, compare: CompareSpec, out: Path, *, resume: bool) -> Study:
    """Claim the directory ``out`` for a comparison, or with ``resume`` go on with, or join, the one that is there.

    Raises:
        ConfigurationError: see :func:`accord.comparing.entrants.entrants`; or a device that is not there; or free text
            read by a function, which other processes cannot have.
        RunError: the directory is taken, belongs to another comparison or table, or cannot be written.
    """
    if callable(plan.text):
        raise ConfigurationError("compare reads free text hashed or by the folder of a transformer, not by a function")
    study = Study.of(out, plan.spec, compare)
    pick_device(plan.spec.training.device)
    existing = out / YAML
    if resume and existing.exists():
        before = Study.read(out)
        if (before.spec, before.compare) != (study.spec, study.compare):
            raise RunError(f"{out} holds another comparison; resume it with its own specification: {existing}")
    else:
        check_free(out, "comparison")
        if plan.spec.data.source == IN_MEMORY:
            keep_table(plan.table, out)
        write_text(existing, section_yaml(plan.spec, "compare", compare))
    same_table(out, out / TABLE, study.table())
    return study


def material(spec: Spec) -> dict[str, Any]:
    """Return what of the specification of a run decides what it computes."""
    whole: dict[str, Any] = encode(spec)
    del whole["evaluation"]
    for name in IMMATERIAL:
        del whole["training"][name]
    return whole


def digest(value: Any) -> str:
    """Return the SHA-256 of plain mappings, lists and scalars."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def kept_table(spec: Spec, directory: Path) -> Table:
    """Open the table of ``spec``, or what :func:`keep_table` kept of one from memory in ``directory``."""
    if spec.data.source != IN_MEMORY:
        return open_source(spec)
    test = directory / "test.parquet"
    return open_source(spec, str(directory / "train.parquet"), str(test) if test.exists() else None)


def keep_table(table: Table, out: Path) -> None:
    """Write a table from memory, so that other processes and a later resume have it."""
    out.mkdir(parents=True, exist_ok=True)
    parts = table.parts or {"train": range(len(table))}
    for part in ("train", "test"):
        if part in parts:
            rows = table.take(np.asarray(parts[part])).to_arrow()
            write_parquet(out / f"{part}.parquet", {name: rows[name] for name in rows.column_names})
