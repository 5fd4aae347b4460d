"""The runs of a comparison: each trial of an entrant on the validation rows, the chosen one on the test rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.comparing.laboratory import Arrays, Laboratory, Metrics
from accord.comparing.records import Job
from accord.comparing.study import Study
from accord.training.evaluate import validation_metrics
from accord.training.loop import Outcome, Trainer
from accord.training.prepare import Prepared, only


class Trials(Laboratory[Study]):
    """Runs of a comparison."""

    def options(self, job: Job) -> Mapping[str, Any]:
        return self.study.trial(job).flat()

    def data(self, job: Job) -> Prepared:
        task = self.study.entrant(job.entrant).task
        return self.prepared if task is None else only(self.prepared, task)

    def train(self, job: Job, trainer: Trainer) -> Outcome:  # noqa: ARG002 - all runs are trained alike
        return trainer.train()

    def findings(self, job: Job, trainer: Trainer, prepared: Prepared) -> tuple[Arrays | None, Metrics]:
        if job.stage == "test":
            return self.judge(trainer.problem, prepared)
        return None, validation_metrics(trainer.problem)
