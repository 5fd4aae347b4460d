"""A whole comparison: tune everybody, choose, train fresh seeds, judge; whatever is done already is not done again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.comparing.choose import choose, measures
from accord.comparing.claims import Claims
from accord.comparing.crew import Crew
from accord.comparing.pool import LOOK_SECONDS, Makes, makers
from accord.comparing.records import Job, Ledger, Record
from accord.comparing.results import Entry, collect
from accord.comparing.study import Study
from accord.holding import holding
from accord.training import Progress, Silent
from accord.training.environment import pick_device
from accord.training.files import write_json
from accord.training.interrupt import Stop, listening
from accord.training.prepare import Prepared, read
from accord.training.sampled import check_pools, pools_of

ALONE = Crew()
# How often runs that other machines make are looked for.
WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """How a comparison ended.

    Attributes:
        directory: where everything is.
        results: the content of ``compare.json``; ``None`` when it was interrupted before there was one.
    """

    directory: Path
    results: dict[str, Any] | None

    @property
    def interrupted(self) -> bool:
        """Whether a person stopped it."""
        return self.results is None


def run_study(study: Study, crew: Crew = ALONE, *, progress: Progress | None = None) -> Outcome:
    """Make the runs of ``study`` that are missing, and judge.

    Ctrl-C stops after the step in flight; everything finished is kept, and the runs in flight go on from there.

    Args:
        study: from :func:`accord.comparing.begin`.
        crew: who makes the runs.
        progress: receives news.

    Raises:
        DataError: the table cannot be used.
        RunError: another process is at work in the directory that shares no storage with this one, nothing can be
            written, a process died, or the storage of the crew cannot be used.
    """
    with holding(study.directory, shared=crew.storage is not None):
        return _run(study, crew, progress or Silent())


def _run(study: Study, crew: Crew, progress: Progress) -> Outcome:
    began = time.monotonic()
    prepared = read(study.spec, study.table(), progress)
    notes = sampling_notes(study, prepared)
    judged = measures(prepared.objectives)
    reading = time.monotonic() - began
    rows = len(prepared.parts["train"]) * study.spec.training.epochs
    with listening() as stop:
        began = time.monotonic()
        with crew.claims(study, judged) as claims, makers(study, stop, prepared, crew.jobs) as maker:
            teller = _Teller(study, progress, rows, claims)
            entries = _make_all(study, maker, teller, lambda tried: choose(study, tried, judged), stop)
        wall = time.monotonic() - began
    for note in teller.ledger.notes:
        progress.say(f"Note: {note}")
    if entries is None:
        return Outcome(study.directory, None)
    effort = {
        "jobs": crew.jobs,
        "made_now": teller.made,
        "training_seconds_now": teller.seconds,
        "wall_seconds_now": wall,
        "reading_seconds": reading,
        "training_seconds": sum(r.seconds for entry in entries for r in (*entry.trials, *entry.tests)),
    }
    progress.say("Judging on the test rows")
    device = pick_device(study.spec.training.device)
    found = collect(study, entries, prepared, judged, device, effort, [*notes, *teller.ledger.notes])
    write_json(study.directory / "compare.json", found)
    shutil.rmtree(study.directory / "unfinished", ignore_errors=True)
    return Outcome(study.directory, found)


def sampling_notes(study: Study, prepared: Prepared) -> list[str]:
    """Return what a reader must know where samplers are compared.

    Raises:
        DataError: they are, but there is nothing for them to choose.
    """
    if not any("sampling" in entrant.methods for entrant in study.entrants):
        return []
    note = check_pools(prepared.objectives.names, pools_of(prepared.targets, prepared.parts["train"]))
    return [note] if note else []


class _Teller:
    """Counts finished runs and says so."""

    def __init__(self, study: Study, progress: Progress, rows: int, claims: Claims) -> None:
        self.study, self.progress, self.rows, self.claims = study, progress, rows, claims
        self.ledger: Ledger = study.ledger
        self.made, self.planned, self.seconds = 0, 0, 0.0

    def plan(self, jobs: int, label: str) -> None:
        self.made_before, self.planned = self.made, jobs
        if jobs:
            self.progress.plan(jobs * self.rows, f"{label}: {jobs} run{'s' * (jobs > 1)}")

    def done(self, job: Job) -> Record:
        record = self.ledger.read(job)
        self.claims.close_run(job, record)
        self.made += 1
        self.seconds += record.seconds
        self._say(job, record, f"({self.made - self.made_before} of {self.planned})")
        return record

    def elsewhere(self, job: Job) -> Record:
        record = self.ledger.read(job)
        self._say(job, record, "(on another machine)")
        return record

    def _say(self, job: Job, record: Record, aside: str) -> None:
        self.progress.end(self.rows)
        what = "trial" if job.stage == "tune" else "seed"
        how = record.failure or f"{record.seconds:.1f} s"
        name = self.study.entrant(job.entrant).name
        self.progress.say(f"{name}, {what} {job.number + 1}: {how} {aside}")


def _make_all(
    study: Study,
    maker: Makes,
    teller: _Teller,
    chosen_of: Callable[[Mapping[str, Sequence[Record]]], dict[str, int | None]],
    stop: Stop,
) -> list[Entry] | None:
    """Return one entry per entrant, ``None`` when interrupted."""
    trials = {e.key: [Job(e.key, "tune", n, n) for n in range(study.compare.trials)] for e in study.entrants}
    tried = _records(study, maker, teller, trials, "tuning", stop)
    if tried is None:
        return None
    chosen = chosen_of(tried)
    fresh = {
        key: [Job(key, "test", n, trial) for n in range(study.compare.seeds)] if trial is not None else []
        for key, trial in chosen.items()
    }
    tested = _records(study, maker, teller, fresh, "testing", stop)
    if tested is None:
        return None
    return [Entry(e, tried[e.key], chosen[e.key], tested[e.key]) for e in study.entrants]


def _records(
    study: Study, maker: Makes, teller: _Teller, wanted: Mapping[str, Sequence[Job]], label: str, stop: Stop
) -> dict[str, list[Record]] | None:
    """Return the records of ``wanted``, ``None`` when interrupted before all were there."""
    found = {job: teller.ledger.find(job, study.asked(job)) for jobs in wanted.values() for job in jobs}

    def done(job: Job) -> None:
        found[job] = teller.done(job)

    missing = [job for job, record in found.items() if record is None]
    teller.plan(len(missing), label)
    while missing:
        if not maker.make(missing, teller.claims, done):
            return None
        for job in [job for job in missing if found[job] is None and teller.ledger.has(job)]:
            if teller.claims.made_elsewhere(job):
                found[job] = teller.elsewhere(job)
        missing = [job for job in missing if found[job] is None]
        if missing and _waited(stop):
            return None
    return {key: [record for job in jobs if (record := found[job])] for key, jobs in wanted.items()}


def _waited(stop: Stop) -> bool:
    """Wait for other machines for a while; return whether a person wants to stop."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end and not stop.requested:
        time.sleep(LOOK_SECONDS)
    return stop.requested
