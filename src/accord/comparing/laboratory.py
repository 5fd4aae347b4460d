"""Makes one run after the other on data that is read once."""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, final

import numpy as np
import torch

from accord.comparing.memory import peak_mb, reset_peak
from accord.comparing.pool import Undertaking
from accord.comparing.records import Job, Record
from accord.errors import RunError
from accord.training import History, Silent, Spec
from accord.training.checkpoint import load_checkpoint
from accord.training.environment import pick_device
from accord.training.evaluate import predict, score
from accord.training.interrupt import Stop
from accord.training.loop import Outcome, Trainer
from accord.training.member import Context, make_trainer
from accord.training.prepare import Prepared, prepare
from accord.training.problem import Problem, all_outputs

S = TypeVar("S", bound=Undertaking)
Metrics = Mapping[str, Mapping[str, float]]
Arrays = list[np.ndarray]


class Laboratory(ABC, Generic[S]):
    """Runs for ``study``, until ``stop`` is requested.

    Attributes:
        prepared: the data of all tasks.
    """

    def __init__(self, study: S, stop: Stop, *, threads: int, prepared: Prepared | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.study, self.stop, self.ledger = study, stop, study.ledger
        self.device = pick_device(study.spec.training.device)
        self.prepared: Prepared = prepared or prepare(study.spec, study.table())

    @final
    def run(self, job: Job) -> bool:
        """Train, judge and record ``job``; return ``False`` when it was interrupted and is to be gone on with.

        What a run fails with is recorded: it must not cost the others their hours.

        Raises:
            RunError: nothing can be written.
        """
        spec = self.study.run_spec(job)
        blank = Record(job, self.study.asked(job), spec.seed, spec.training.learning_rate, self.options(job))
        try:
            with torch.random.fork_rng():
                torch.manual_seed(spec.seed)
                return self._run(job, spec, blank)
        except (RunError, KeyboardInterrupt):
            raise
        except Exception as error:
            self.ledger.write(Record(**{**vars(blank), "failure": f"{type(error).__name__}: {error}"}))
            return True

    def _run(self, job: Job, spec: Spec, blank: Record) -> bool:
        prepared = self.data(job)
        unfinished = self.study.directory / "unfinished" / f"{job.entrant}-{job.stage}-{job.number}"
        checkpoint = unfinished / f"{blank.asked[:16]}.safetensors"
        _drop_damaged(checkpoint)
        reset_peak(self.device)
        began = time.monotonic()
        context = Context(spec, unfinished, History(), Silent(), self.stop, self.device)
        trainer, problem = make_trainer(context, prepared, (job.entrant, spec.seed), checkpoint)
        outcome = self.train(job, trainer)
        if outcome.interrupted:
            return False
        seconds = time.monotonic() - began
        arrays, metrics = self.findings(job, trainer, prepared)
        made: dict[str, Any] = {
            "metrics": metrics,
            "epochs": outcome.best_epoch,
            "seconds": seconds,
            "parameters": sum(parameter.numel() for parameter in problem.model.parameters()),
            "peak_memory_mb": peak_mb(self.device),
            "skipped": outcome.skipped,
        }
        self.ledger.write(Record(**{**vars(blank), **made}), arrays)
        shutil.rmtree(unfinished, ignore_errors=True)
        return True

    @final
    def judge(self, problem: Problem, prepared: Prepared) -> tuple[Arrays, Metrics]:
        """Return the predictions for the test rows, one array per task, and their metrics."""
        rows = prepared.parts["test"]
        predictions = predict(prepared.objectives, all_outputs(problem.model, prepared.features, rows, self.device))
        return predictions, score(prepared.objectives, predictions, [target.take(rows) for target in prepared.targets])

    @abstractmethod
    def options(self, job: Job) -> Mapping[str, Any]:
        """Return what a record says of its run beside the learning rate."""

    @abstractmethod
    def data(self, job: Job) -> Prepared:
        """Return the data of the tasks of ``job``."""

    @abstractmethod
    def train(self, job: Job, trainer: Trainer) -> Outcome:
        """Train the model."""

    @abstractmethod
    def findings(self, job: Job, trainer: Trainer, prepared: Prepared) -> tuple[Arrays | None, Metrics]:
        """Return the arrays that the record of a trained model vouches for, and the metrics."""


def _drop_damaged(checkpoint: Path) -> None:
    """Forget a checkpoint that cannot be read: the run begins anew."""
    try:
        if checkpoint.exists():
            load_checkpoint(checkpoint)
    except (RunError, KeyError, ValueError):
        checkpoint.unlink()
