"""Runs side by side: one process each, asked for one run after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal, Protocol

from accord import errors
from accord.comparing.claims import Claims
from accord.comparing.records import Job, Ledger
from accord.data import Table
from accord.errors import AccordError, RunError
from accord.training import Spec
from accord.training.interrupt import Stop
from accord.training.prepare import Prepared

State = Literal["done", "interrupted", "theirs"]
# How often the main thread looks whether a person wants to stop.
LOOK_SECONDS = 0.2


class Runs(Protocol):
    """Makes one run after the other in one process."""

    def run(self, job: Job) -> bool:
        """Train, judge and record ``job``; return ``False`` when it was interrupted and is to be gone on with."""
        ...


class Undertaking(Protocol):
    """A directory of runs that are made from one specification.

    Attributes:
        worker: module that serves it in a process of its own, see :func:`accord.comparing.worker.serve`.
    """

    worker: str

    @property
    def directory(self) -> Path:
        """Where it is kept."""
        ...

    @property
    def spec(self) -> Spec:
        """What all runs have in common."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The records, with no notes yet."""
        ...

    def run_spec(self, job: Job) -> Spec:
        """Return the specification of one run."""
        ...

    def asked(self, job: Job) -> str:
        """Return the digest of everything that decides the result of ``job``."""
        ...

    def table(self) -> Table:
        """Open the table."""
        ...

    def laboratory(self, stop: Stop, *, threads: int, prepared: Prepared | None = None) -> Runs:
        """Return what makes its runs in this process."""
        ...


class Makes(Protocol):
    """Makes jobs, in this process or in others."""

    def make(self, jobs: Sequence[Job], claims: Claims, done: Callable[[Job], None]) -> bool:
        """Make those of ``jobs`` that ``claims`` lets us have and tell ``done`` of each.

        Return ``False`` early when asked to stop.
        """
        ...


class Here:
    """One run after the other in this process."""

    def __init__(self, study: Undertaking, stop: Stop, prepared: Prepared, *, threads: int) -> None:
        self.stop = stop
        self.laboratory = study.laboratory(stop, threads=threads, prepared=prepared)

    def make(self, jobs: Sequence[Job], claims: Claims, done: Callable[[Job], None]) -> bool:
        for job in jobs:
            if self.stop.requested:
                return False
            if not claims.take(job):
                continue
            if not self.laboratory.run(job):
                return False
            done(job)
        return True


class Elsewhere:
    """Several processes of the study's worker, each driven by a thread of this one."""

    def __init__(self, study: Undertaking, stop: Stop, *, processes: int, threads: int) -> None:
        self.study, self.stop, self.threads = study, stop, threads
        self._local = threading.local()
        self._started: list[subprocess.Popen[str]] = []
        self._pool = ThreadPoolExecutor(processes)

    def make(self, jobs: Sequence[Job], claims: Claims, done: Callable[[Job], None]) -> bool:
        """Make ``jobs``, whichever worker is free takes the next.

        Raises:
            AccordError: what a worker could not go on for.
            RunError: a worker died; what it was at is named.
        """
        waiting: dict[Future[State], Job] = {self._pool.submit(self._ask, job, claims): job for job in jobs}
        interrupted = False
        try:
            while waiting:
                ready, _ = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in ready:
                    job = waiting.pop(future)
                    state = future.result()
                    interrupted |= state == "interrupted"
                    if state == "done":
                        done(job)
                if self.stop.requested:
                    self._drop(waiting)
        except BaseException:
            self._drop(waiting)
            raise
        return not (interrupted or self.stop.requested)

    def _drop(self, waiting: dict[Future[State], Job]) -> None:
        """Forget what was not begun, and tell the workers to stop after the step in flight."""
        for future in [future for future in waiting if future.cancel()]:
            del waiting[future]
        for process in self._started:
            if process.poll() is None:
                process.terminate()

    def _ask(self, job: Job, claims: Claims) -> State:
        if self.stop.requested:
            return "interrupted"
        if not claims.take(job):
            return "theirs"
        process = self._process()
        try:
            process.stdin.write(json.dumps(asdict(job)) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            line = process.stdout.readline()  # type: ignore[union-attr]
        except OSError:
            line = ""
        if not line:
            code = process.wait()
            if self.stop.requested:
                return "interrupted"
            raise RunError(
                f"the process that made {job.path} ended with code {code} before it was done"
                f"{' (killed: too little memory?)' if code == -9 else ''}. Finished runs are kept: go on with --resume"
                ", with fewer --jobs if memory was short."
            )
        answer = json.loads(line)
        if "error" in answer:
            raise _error(answer)
        return "done" if answer["finished"] else "interrupted"

    def _process(self) -> subprocess.Popen[str]:
        found: subprocess.Popen[str] | None = getattr(self._local, "process", None)
        if found is None:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the workers in good order.
            found = subprocess.Popen(
                [sys.executable, "-m", self.study.worker, str(self.study.directory), str(self.threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
            self._local.process = found
            self._started.append(found)
        return found

    def close(self) -> None:
        """End the workers."""
        for process in self._started:
            if process.stdin:
                process.stdin.close()
        self._pool.shutdown(cancel_futures=True)
        for process in self._started:
            process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def makers(study: Undertaking, stop: Stop, prepared: Prepared, jobs: int) -> Iterator[Makes]:
    """Open what makes up to ``jobs`` runs at a time. Threads are divided among them unless the specification says."""
    threads = study.spec.training.threads
    if jobs == 1:
        yield Here(study, stop, prepared, threads=threads)
        return
    found = Elsewhere(study, stop, processes=jobs, threads=threads or max(1, (os.cpu_count() or 1) // jobs))
    try:
        yield found
    finally:
        found.close()


def _error(answer: dict[str, str]) -> AccordError:
    kind = getattr(errors, answer["kind"], RunError)
    # An error whose constructor wants more than a message still has one to pass on.
    return kind(answer["error"]) if kind is not errors.MissingExtraError else RunError(answer["error"])
