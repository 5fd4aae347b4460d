"""A whole grouping: probe, divide, write specifications, and where asked train and compare; nothing is done twice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.comparing.claims import Alone
from accord.comparing.crew import Crew
from accord.comparing.pool import Makes, makers
from accord.comparing.records import Job, Ledger, Record
from accord.errors import ConfigurationError, RunError
from accord.grouping.affinity import KINDS
from accord.grouping.budgets import budget_of
from accord.grouping.contestants import contestants, merges
from accord.grouping.labels import label_codes
from accord.grouping.measured import Measured, compare
from accord.grouping.members import key_of, tasks_of
from accord.grouping.partition import arrange, centred
from accord.grouping.results import Proposal, collect
from accord.grouping.study import JSON, GroupStudy
from accord.grouping.write_specs import write_specs
from accord.holding import holding
from accord.training import Progress, Silent
from accord.training.build import build_model
from accord.training.environment import pick_device
from accord.training.files import write_json
from accord.training.interrupt import Stop, listening
from accord.training.prepare import Prepared, read

ALONE = Crew()


@dataclass(frozen=True)
class Outcome:
    """How a grouping ended.

    Attributes:
        directory: where everything is.
        results: the content of ``group.json``; ``None`` when it was interrupted before there was one.
    """

    directory: Path
    results: dict[str, Any] | None


def run_study(study: GroupStudy, crew: Crew = ALONE, *, progress: Progress | None = None) -> Outcome:
    """Make the runs of ``study`` that are missing, divide the tasks, and judge.

    Ctrl-C stops after the step in flight; everything finished is kept, and the runs in flight go on from there.

    Args:
        study: from :func:`accord.grouping.begin`.
        crew: how many runs are made at a time; they are all made by this machine.
        progress: receives news.

    Raises:
        ConfigurationError: the budget does not pay for one group, or the crew has a storage.
        DataError: the table cannot be used.
        RunError: another process is at work in the directory, nothing can be written, a run failed, or a process died.
    """
    if crew.storage is not None:
        raise ConfigurationError("a grouping is made on one machine: leave the storage out")
    with holding(study.directory):
        return _run(study, crew, progress or Silent())


def _run(study: GroupStudy, crew: Crew, progress: Progress) -> Outcome:
    prepared = read(study.spec, study.table(), progress)
    began = time.monotonic()
    with listening() as stop, makers(study, stop, prepared, crew.jobs) as maker:
        runner = _Runner(study, maker, stop, progress, len(prepared.parts["train"]))
        found = _propose_and_measure(study, runner, prepared, progress)
    for note in runner.ledger.notes:
        progress.say(f"Note: {note}")
    if found is None:
        return Outcome(study.directory, None)
    proposal, measured = found
    effort = {
        "jobs": crew.jobs,
        "made_now": runner.made,
        "wall_seconds_now": time.monotonic() - began,
        "probe_seconds": proposal.seconds,
        "training_seconds_now": runner.seconds,
    }
    device = pick_device(study.spec.training.device)
    results = collect(study, prepared, proposal, measured, device, effort, runner.ledger.notes)
    write_json(study.directory / JSON, results)
    shutil.rmtree(study.directory / "unfinished", ignore_errors=True)
    return Outcome(study.directory, results)


def _propose_and_measure(
    study: GroupStudy, runner: _Runner, prepared: Prepared, progress: Progress
) -> tuple[Proposal, Measured | None] | None:
    """Return the proposal and what it measured; ``None`` when interrupted."""
    proposal = propose(study, runner, prepared)
    if proposal is None:
        return None
    for number, group in enumerate(proposal.partition.groups, 1):
        progress.say(f"Group {number}: {', '.join(study.names[t] for t in group)}")
    write_specs(study, proposal.partition, prepared)
    if not study.group.measure:
        return proposal, None
    those = contestants(study, proposal.partition, proposal.helps)
    merged = [job for job in merges(study) if study.merged_epochs]
    if runner.records(merged, "training before the split") is None:
        return None
    wanted = dict.fromkeys(job for one in those for job in one.jobs(study.group.seeds))
    records = runner.records(list(wanted), "measuring")
    if records is None:
        return None
    progress.say("Judging on the test rows")
    joint = {job.number: runner.ledger.read(job).seconds for job in merged}
    return proposal, compare(study, those, {job: records[job] for job in wanted}, prepared, proposal, joint)


def propose(study: GroupStudy, runner: _Runner, prepared: Prepared) -> Proposal | None:
    """Return who helps whom, and groups of that; ``None`` when interrupted."""
    tasks = len(study.names)
    affinity = study.group.make_affinity(tasks)
    model = build_model(study.spec, prepared.feature_encoder.layout, prepared.objectives, seed=study.spec.seed)
    budget = budget_of(study.group, model)
    budget.most_groups(tasks)  # before hours of training, not after
    evidence = probe_jobs(study)
    records = runner.records(evidence, "looking at the tasks")
    if records is None:
        return None
    if "representations" in affinity.hears:
        affinity.observe(representations=[torch.from_numpy(runner.ledger.predictions(records[j])[0]) for j in evidence])
    elif "labels" in affinity.hears:
        affinity.observe(labels=label_codes(prepared, study.spec.seed))
    matrix: Tensor = (
        affinity.matrix() if not evidence or len(evidence) > 1 else _read(runner.ledger, records[evidence[0]])
    )
    helps = centred(matrix, affinity.neutral)
    partition = study.group.make_partitioner(tasks)(matrix, budget, neutral=affinity.neutral)
    seconds = sum(record.seconds for record in records.values())
    return Proposal(matrix.numpy(), helps, affinity.neutral, budget, partition, arrange(helps, [range(tasks)]), seconds)


def probe_jobs(study: GroupStudy) -> list[Job]:
    """Return the runs that the affinity goes by: none, one of all tasks, or one of each task."""
    hears = set(study.group.make_affinity(len(study.names)).hears)
    assert hears <= set(KINDS)
    if "labels" in hears:
        return []
    if "representations" in hears:
        return [Job(key_of([task]), "tune", 0, 0) for task in study.everybody]
    return [study.probe()]


def _read(ledger: Ledger, record: Record) -> Tensor:
    return torch.from_numpy(np.array(ledger.predictions(record)[0]))


class _Runner:
    """Makes missing runs and says so."""

    def __init__(self, study: GroupStudy, maker: Makes, stop: Stop, progress: Progress, rows: int) -> None:
        self.study, self.maker, self.stop, self.progress, self.rows = study, maker, stop, progress, rows
        self.ledger: Ledger = study.ledger
        self.made, self.seconds = 0, 0.0

    def records(self, jobs: Sequence[Job], label: str) -> dict[Job, Record] | None:
        """Return the records of ``jobs``; ``None`` when interrupted before all were there.

        Raises:
            RunError: a run failed.
        """
        found = {job: self.ledger.find(job, self.study.asked(job)) for job in jobs}
        missing = [job for job, record in found.items() if record is None]
        if missing:
            plural = "s" if len(missing) > 1 else ""
            self.progress.plan(sum(map(self._work, missing)), f"{label}: {len(missing)} run{plural}")
        done: list[Job] = []

        def one(job: Job) -> None:
            done.append(job)
            record = found[job] = self.ledger.read(job)
            if record.failure:
                raise RunError(f"the run of {self.study.label(job)} failed: {record.failure}")
            self.made += 1
            self.seconds += record.seconds
            self.progress.end(self._work(job))
            self.progress.say(f"{self.study.label(job)}: {record.seconds:.1f} s ({len(done)} of {len(missing)})")

        if missing and not self.maker.make(missing, Alone(), one):
            return None
        return {job: record for job, record in found.items() if record is not None}

    def _work(self, job: Job) -> int:
        # A model of many tasks costs little more than one of few: the shared part does most of the work.
        share = 0.5 + 0.5 * len(tasks_of(job.entrant)) / len(self.study.names)
        return int(share * self.rows * self.study.run_spec(job).training.epochs)
