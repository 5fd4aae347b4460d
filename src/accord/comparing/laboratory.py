"""Makes one run of a comparison after the other on data that is read once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import torch

from accord.comparing.memory import peak_mb, reset_peak
from accord.comparing.records import Job, Ledger, Record
from accord.comparing.study import Study
from accord.errors import RunError
from accord.training import History, Silent, Spec
from accord.training.checkpoint import load_checkpoint
from accord.training.environment import pick_device
from accord.training.evaluate import predict, score, validation_metrics
from accord.training.interrupt import Stop
from accord.training.member import Context, make_trainer
from accord.training.prepare import Prepared, only, prepare
from accord.training.problem import Problem, all_outputs


class Laboratory:
    """Runs for ``study``, until ``stop`` is requested.

    Attributes:
        prepared: the data of all tasks.
    """

    def __init__(self, study: Study, stop: Stop, *, threads: int, prepared: Prepared | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.study, self.stop = study, stop
        self.ledger: Ledger = study.ledger
        self.device = pick_device(study.spec.training.device)
        self.prepared: Prepared = prepared or prepare(study.spec, study.table())

    def run(self, job: Job) -> bool:
        """Train, judge and record ``job``; return ``False`` when it was interrupted and is to be gone on with.

        What a method fails with is recorded: it must not cost the others their hours.

        Raises:
            RunError: nothing can be written.
        """
        trial = self.study.trial(job)
        spec = self.study.run_spec(job)
        blank = Record(job, self.study.asked(job), spec.seed, trial.rate, trial.flat())
        try:
            with torch.random.fork_rng():
                torch.manual_seed(spec.seed)
                return self._train(job, spec, blank)
        except (RunError, KeyboardInterrupt):
            raise
        except Exception as error:
            self.ledger.write(Record(**{**vars(blank), "failure": f"{type(error).__name__}: {error}"}))
            return True

    def _train(self, job: Job, spec: Spec, blank: Record) -> bool:
        task = self.study.entrant(job.entrant).task
        prepared = self.prepared if task is None else only(self.prepared, task)
        unfinished = self.study.directory / "unfinished" / f"{job.entrant}-{job.stage}-{job.number}"
        checkpoint = unfinished / f"{blank.asked[:16]}.safetensors"
        drop_damaged(checkpoint)
        reset_peak(self.device)
        began = time.monotonic()
        context = Context(spec, unfinished, History(), Silent(), self.stop, self.device)
        trainer, problem = make_trainer(context, prepared, (job.entrant, spec.seed), checkpoint)
        outcome = trainer.train()
        if outcome.interrupted:
            return False
        seconds = time.monotonic() - began
        predictions = None
        if job.stage == "test":
            outputs = all_outputs(problem.model, prepared.features, prepared.parts["test"], self.device)
            predictions = predict(prepared.objectives, outputs)
        metrics = validation_metrics(problem) if predictions is None else self._judge(prepared, predictions)
        record = Record(
            **{
                **vars(blank),
                "metrics": metrics,
                "epochs": outcome.best_epoch,
                "seconds": seconds,
                "parameters": parameters(problem),
                "peak_memory_mb": peak_mb(self.device),
                "skipped": outcome.skipped,
            }
        )
        self.ledger.write(record, predictions)
        shutil.rmtree(unfinished, ignore_errors=True)
        return True

    def _judge(self, prepared: Prepared, predictions: list) -> dict[str, dict[str, float]]:
        targets = [target.take(prepared.parts["test"]) for target in prepared.targets]
        return score(prepared.objectives, predictions, targets)


def parameters(problem: Problem) -> int:
    """Return how many numbers a model learns."""
    return sum(parameter.numel() for parameter in problem.model.parameters())


def drop_damaged(checkpoint: Path) -> None:
    """Forget a checkpoint that cannot be read: the run begins anew."""
    try:
        if checkpoint.exists():
            load_checkpoint(checkpoint)
    except (RunError, KeyError, ValueError):
        checkpoint.unlink()
