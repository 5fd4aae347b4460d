"""The runs of a grouping: what affinities look on at, and what groups are measured by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.comparing.laboratory import Arrays, Laboratory, Metrics
from accord.comparing.records import Job
from accord.grouping.adopt import adopt
from accord.grouping.affinity import Affinity
from accord.grouping.members import key_of, some, tasks_of
from accord.grouping.study import GroupStudy
from accord.grouping.watch import Watch, representation, sample
from accord.training.build import build_model
from accord.training.evaluate import validation_metrics
from accord.training.files import read_tensors, write_tensors
from accord.training.loop import Outcome, Trainer
from accord.training.prepare import Prepared

READ_ROWS = 512  # rows that encoders of single tasks are compared on


class GroupRuns(Laboratory[GroupStudy]):
    """Runs of a grouping."""

    def options(self, job: Job) -> Mapping[str, Any]:
        return {"tasks": [self.study.names[t] for t in tasks_of(job.entrant)]}

    def data(self, job: Job) -> Prepared:
        return some(self.prepared, tasks_of(job.entrant))

    def train(self, job: Job, trainer: Trainer) -> Outcome:
        if job.entrant.startswith("split"):
            adopt(trainer.problem.model, self._merged(job), tasks_of(job.entrant))
        if job == self.study.probe():
            affinity = self.study.group.make_affinity(len(trainer.problem.tasks))
            trainer.watcher = Watch([affinity], self.study.spec.seed)
        return trainer.train()

    def findings(self, job: Job, trainer: Trainer, prepared: Prepared) -> tuple[Arrays | None, Metrics]:
        problem, watch = trainer.problem, trainer.watcher
        if job.entrant.startswith("merged"):
            write_tensors(self._weights(job), problem.model.state_dict())
        elif job.stage == "test":
            return self.judge(problem, prepared)
        if isinstance(watch, Watch):
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
