"""Makes one run of a grouping after the other on data that is read once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accord.comparing.laboratory import drop_damaged, parameters
from accord.comparing.memory import peak_mb, reset_peak
from accord.comparing.records import Job, Record
from accord.errors import RunError
from accord.grouping.adopt import adopt
from accord.grouping.affinity import Affinity
from accord.grouping.members import key_of, some, tasks_of
from accord.grouping.study import GroupStudy
from accord.grouping.watch import Watch, representation, sample
from accord.training import History, Silent, Spec
from accord.training.build import build_model
from accord.training.environment import pick_device
from accord.training.evaluate import predict, score, validation_metrics
from accord.training.files import read_tensors, write_tensors
from accord.training.interrupt import Stop
from accord.training.loop import Trainer
from accord.training.member import Context, make_trainer
from accord.training.prepare import Prepared, prepare
from accord.training.problem import Problem, all_outputs

READ_ROWS = 512  # rows that encoders of single tasks are compared on


class Laboratory:
    """Runs for ``study``, until ``stop`` is requested."""

    def __init__(self, study: GroupStudy, stop: Stop, *, threads: int, prepared: Prepared | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.study, self.stop, self.ledger = study, stop, study.ledger
        self.device = pick_device(study.spec.training.device)
        self.prepared: Prepared = prepared or prepare(study.spec, study.table())

    def run(self, job: Job) -> bool:
        """Train, judge and record ``job``; return ``False`` when it was interrupted and is to be gone on with.

        What a run fails with is recorded: it must not cost the others their hours.

        Raises:
            RunError: nothing can be written.
        """
        spec = self.study.run_spec(job)
        names = [self.study.names[t] for t in tasks_of(job.entrant)]
        blank = Record(job, self.study.asked(job), spec.seed, spec.training.learning_rate, {"tasks": names})
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
        tasks = tasks_of(job.entrant)
        prepared = some(self.prepared, tasks)
        unfinished = self.study.directory / "unfinished" / f"{job.entrant}-{job.stage}-{job.number}"
        checkpoint = unfinished / f"{blank.asked[:16]}.safetensors"
        drop_damaged(checkpoint)
        reset_peak(self.device)
        began = time.monotonic()
        context = Context(spec, unfinished, History(), Silent(), self.stop, self.device)
        trainer, problem = make_trainer(context, prepared, (job.entrant, spec.seed), checkpoint)
        if job.entrant.startswith("split"):
            adopt(problem.model, self._merged(job), tasks)
        watch = self._watch(job, trainer)
        outcome = trainer.train()
        if outcome.interrupted:
            return False
        seconds = time.monotonic() - began
        arrays, metrics = self._findings(job, problem, prepared, watch)
        made: dict[str, Any] = {
            "metrics": metrics,
            "epochs": outcome.best_epoch,
            "seconds": seconds,
            "parameters": parameters(problem),
            "peak_memory_mb": peak_mb(self.device),
            "skipped": outcome.skipped,
        }
        self.ledger.write(Record(**{**vars(blank), **made}), arrays)
        shutil.rmtree(unfinished, ignore_errors=True)
        return True

    def _watch(self, job: Job, trainer: Trainer) -> Watch | None:
        if job != self.study.probe():
            return None
        watch = Watch([self.study.group.make_affinity(len(trainer.problem.tasks))], self.study.spec.seed)
        trainer.watcher = watch
        return watch

    def _findings(
        self, job: Job, problem: Problem, prepared: Prepared, watch: Watch | None
    ) -> tuple[list[np.ndarray] | None, dict[str, dict[str, float]]]:
        """Return the arrays that the record vouches for, and the metrics."""
        if job.entrant.startswith("merged"):
            write_tensors(self._weights(job), problem.model.state_dict())
        elif job.stage == "test":
            outputs = all_outputs(problem.model, prepared.features, prepared.parts["test"], self.device)
            predictions = predict(prepared.objectives, outputs)
            targets = [target.take(prepared.parts["test"]) for target in prepared.targets]
            return predictions, score(prepared.objectives, predictions, targets)
        if watch is not None:
            watch.finish(problem)
            found = [affinity.matrix().numpy() for affinity in watch.affinities if isinstance(affinity, Affinity)]
            return found, validation_metrics(problem)
        if job.stage == "tune":
            rows = sample(problem.validation, self.study.spec.seed, READ_ROWS)
            return [representation(problem, rows).numpy()], validation_metrics(problem)
        return None, validation_metrics(problem)

    def _weights(self, job: Job) -> Path:
        return (
            self.study.directory
            / "records"
            / key_of(self.study.everybody, "merged")
            / f"{job.number}.weights.safetensors"
        )

    def _merged(self, job: Job) -> Any:
        """Return the joint model that ``job`` goes on from."""
        spec = self.study.run_spec(job)
        joint = build_model(spec, self.prepared.feature_encoder.layout, self.prepared.objectives, seed=spec.seed)
        joint.load_state_dict(read_tensors(self._weights(job))[0])
        return joint.to(self.device)
