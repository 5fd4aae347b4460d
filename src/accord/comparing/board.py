"""Several machines at one comparison: who makes which run is agreed on in a storage of Optuna."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, final

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from accord.comparing.choose import Measure
from accord.comparing.claims import Claims
from accord.comparing.records import Job, Record
from accord.comparing.study import Study
from accord.errors import RunError
from accord.training.files import writing

# A machine says that it is alive this often, and is given up when it has not said so for longer than that.
BEAT_SECONDS, PATIENCE_SECONDS = 10.0, 60.0
IDENTITY = "identity"


@final
class Board(Claims):
    """Claims in a journal file or an SQL database.

    The runs of one entrant at one stage are a study of Optuna, so that its tools can look at them. A claim is a running
    trial, added in one transaction with the run it is for; of two for the same run the one with the lower number
    counts, and both sides see which one that is. A run that is done is a complete trial whose values are its primary
    metrics, a failed one a failed trial, a claim that was given up a pruned one. Machines count up a number; one whose
    number stands still on the clock of whoever looks is taken for dead and its claims are free, so clocks need not
    agree. Should a machine be taken for dead that is only slow, a run is made twice, to the same record.

    What runs found is in the records of the comparison's directory, not here.

    Args:
        storage: the file of a journal, or the address of a database.
        study: the comparison.
        judged: what its tasks are judged by.
        beat: seconds between two signs of life.
        patience: seconds without one after which a machine counts as dead; several times ``beat``.

    Raises:
        RunError: the storage cannot be read or written.
    """

    def __init__(
        self,
        storage: str,
        study: Study,
        judged: Sequence[Measure],
        *,
        beat: float = BEAT_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.storage, self.patience = storage, patience
        self.me = uuid.uuid4().hex
        self.held: dict[Job, int] = {}
        self._study = study
        self._judged = judged
        self._seen: dict[str, tuple[Any, float]] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        name = f"{study.directory.resolve().name} {_identity(study)[:12]}"
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._explained():
            opened = _open(storage)
            self._crew = optuna.create_study(storage=opened, study_name=name, load_if_exists=True)
            self._studies = {
                (entrant.key, stage): optuna.create_study(
                    storage=opened,
                    study_name=f"{name}: {entrant.name}, {stage}",
                    load_if_exists=True,
                    directions=[_direction(measure) for measure in self._of(entrant.task)],
                )
                for entrant in study.entrants
                for stage in ("tune", "test")
            }
            self._before = {place: {t.number for t in self._trials(place) if _over(t)} for place in self._studies}
            self._beat()
        self._heart = threading.Thread(target=self._live, args=(beat,), daemon=True)
        self._heart.start()

    def take(self, job: Job) -> bool:
        place = (job.entrant, job.stage)
        with self._lock, self._explained():
            if self.made_elsewhere(job) or self._claimed(job, self._trials(place)):
                return False
            token = uuid.uuid4().hex
            trial = self._study.trial(job)
            told = {"rate": trial.rate, **{f"option {name}": value for name, value in trial.flat().items()}}
            facts = {"run": job.number, "machine": self.me, "token": token, **told}
            self._studies[place].add_trial(optuna.create_trial(state=TrialState.RUNNING, user_attrs=facts))
            trials = self._trials(place)
            mine = next(trial.number for trial in trials if trial.user_attrs.get("token") == token)
            if self.made_elsewhere(job) or self._claimed(job, trials[:mine]):
                self._studies[place].tell(mine, state=TrialState.PRUNED)
                return False
            self.held[job] = mine
            return True

    def close_run(self, job: Job, record: Record) -> None:
        values = [measure.of(record) for measure in self._of(self._study.entrant(job.entrant).task)]
        fine = not record.failure and all(value - value == 0 for value in values)
        state = TrialState.COMPLETE if fine else TrialState.FAIL
        with self._lock, self._explained():
            number = self.held.pop(job)
            self._studies[job.entrant, job.stage].tell(number, values if fine else None, state, skip_if_finished=True)

    def made_elsewhere(self, job: Job) -> bool:
        place = (job.entrant, job.stage)
        with self._lock, self._explained():
            done = (t for t in self._trials(place) if _over(t) and t.number not in self._before[place])
            return any(trial.user_attrs.get("run") == job.number for trial in done)

    def close(self) -> None:
        """Give up what is still held, and stop being alive."""
        self._closing.set()
        self._heart.join()
        with self._lock, self._explained():
            for job, number in self.held.items():
                self._studies[job.entrant, job.stage].tell(number, state=TrialState.PRUNED, skip_if_finished=True)
            self.held.clear()

    def _of(self, task: int | None) -> Sequence[Measure]:
        return self._judged if task is None else (self._judged[task],)

    def _trials(self, place: tuple[str, str]) -> list[FrozenTrial]:
        return self._studies[place].get_trials(deepcopy=False)

    def _claimed(self, job: Job, trials: Sequence[FrozenTrial]) -> bool:
        """Return whether one of ``trials`` is a claim to ``job``; free those of machines that are dead."""
        claims = [t for t in trials if t.state == TrialState.RUNNING and t.user_attrs.get("run") == job.number]
        living = [claim for claim in claims if self._alive(claim.user_attrs["machine"])]
        for claim in claims:
            if claim not in living:
                self._studies[job.entrant, job.stage].tell(claim.number, state=TrialState.PRUNED, skip_if_finished=True)
        return bool(living)

    def _alive(self, machine: str) -> bool:
        now, beat = time.monotonic(), self._crew.user_attrs.get(machine)
        before, since = self._seen.get(machine, (None, now))
        if beat != before or machine not in self._seen:
            self._seen[machine] = (beat, now)
            return True
        return machine == self.me or now - since < self.patience

    def _beat(self) -> None:
        self._crew.set_user_attr(self.me, int(self._crew.user_attrs.get(self.me, 0)) + 1)

    def _live(self, beat: float) -> None:
        while not self._closing.wait(beat):
            try:
                with self._lock:
                    self._beat()
            except Exception:  # the next claim meets the same trouble and explains it
                continue

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn whatever a journal or a database may fail with into an error that says how to go on."""
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            why = str(error).strip().rstrip(".")
            said = _without_passwords(f"the storage {self.storage} cannot be used: {type(error).__name__}: {why}")
            raise RunError(
                f"{said}. Finished runs are in {self._study.directory}: go on with --resume and another --storage, the "
                "same on every machine."
            ) from error


def _without_passwords(text: str) -> str:
    """Return ``text`` with those of addresses left out: messages end up in logs."""
    return re.sub(r"(://[^:/@\s]*:)[^/\s]*@", r"\1***@", text)


def _open(storage: str) -> Any:
    if "://" in storage:
        return optuna.storages.RDBStorage(storage)
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(storage))


def _over(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.FAIL)


def _direction(measure: Measure) -> StudyDirection:
    return StudyDirection.MAXIMIZE if measure.sign > 0 else StudyDirection.MINIMIZE


def _identity(study: Study) -> str:
    """Return what tells this comparison from others in the same storage; the first machine writes it down."""
    path = study.directory / IDENTITY
    mine = path.with_name(f"{IDENTITY}-{uuid.uuid4().hex}")
    with writing(mine):
        mine.write_text(uuid.uuid4().hex, encoding="utf-8")
        # A link is made whole or not at all, and not where there is one, on network file systems too.
        with suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()
        return path.read_text(encoding="utf-8")
