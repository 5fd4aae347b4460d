"""Training of a whole front at once, of one network or of a set: judged by the hypervolume that it reaches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.pareto import hypervolume
from accord.steering.learner import Batch, Learner
from accord.steering.rows import Rows
from accord.tasks import Objectives
from accord.training.checkpoint import load_checkpoint, save_checkpoint
from accord.training.history import Clock, History
from accord.training.interrupt import Stop
from accord.training.loop import LOGS_PER_EPOCH, Outcome
from accord.training.meter import Meter
from accord.training.optimizer import clip_gradients
from accord.training.progress import Progress
from accord.training.schedule import rate_factor
from accord.training.spec import TrainingSpec
from accord.training.stopping import Best

# Row orders and preferences are functions of seed and step, so that resuming needs no state of theirs.
STREAM = 1_000_003


@dataclass
class FrontTrainer:
    """Trains the model of ``learner`` in place.

    Attributes:
        learner: the front, on the device that it is trained on.
        objectives: the tasks.
        data: all rows, whose numbers ``train`` ``[n]`` holds those to train on.
        live: the rows that the front is judged by after every epoch.
        reference: ``[T]``, the worst corner of the hypervolume.
        training: budget and optimiser.
        autocast: whether networks compute in bfloat16.
        seed: of row order, preferences and dropout.
        checkpoint: where state is kept while training; read first when it exists.
    """

    learner: Learner[Any]
    objectives: Objectives
    data: Rows
    train: Tensor
    live: Rows
    reference: Tensor
    training: TrainingSpec
    autocast: bool
    seed: int
    history: History
    history_path: Path
    checkpoint: Path
    progress: Progress
    stop: Stop
    clock: Clock = field(default_factory=Clock)
    best: Best = field(default_factory=Best)
    epoch: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        self.model = self.learner.model
        self.device = next(self.model.parameters()).device
        self.steps_per_epoch = -(-len(self.train) // self.training.batch_size)
        self.total_steps = self.steps_per_epoch * self.training.epochs
        self.optimizer = self.learner.optimizer(self.training)
        self.meter = Meter(self.objectives.names)
        self.skipped: dict[str, int] = {}
        self.name = ("front", self.seed)
        self._saved = time.monotonic()
        self._told = 0

    def run(self) -> Outcome:
        """Train to the end of the budget, an early stop, or an interruption; then restore the best weights."""
        if self.checkpoint.exists():
            self._restore(load_checkpoint(self.checkpoint))
        rows = self.training.epochs * len(self.train)
        self.progress.begin(f"front, seed {self.seed}", rows)
        self._tell({})  # what an earlier attempt did counts as done
        patience = self.training.patience
        while self.epoch < self.training.epochs and not self.stop.requested and not 0 < patience <= self.best.waited:
            self._epoch()
        if self.best.epoch < 0:  # interrupted within the first epoch
            self._validate()
        self.model.load_state_dict(self.best.weights)
        self.progress.end(rows - self.clock.rows)
        return Outcome(self.clock, self.best.epoch, self.best.score, self.stop.requested, self.skipped)

    def _epoch(self) -> None:
        generator = torch.Generator().manual_seed(self.seed * STREAM + self.epoch)
        order = self.train[torch.randperm(len(self.train), generator=generator)]
        size = self.training.batch_size
        self.model.train()
        for start in range(self.offset * size, len(order), size):
            began = time.monotonic()
            self._step(order[start : start + size])
            self.clock.seconds += time.monotonic() - began
            if self.offset % max(1, self.steps_per_epoch // LOGS_PER_EPOCH) == 0 or self.offset == self.steps_per_epoch:
                self._log()
            self._save_if_due(1.0)
            if self.stop.requested:
                self._save()
                return
        self.offset = 0
        self.epoch += 1
        self._validate()
        self._save_if_due(0.2)  # at the end of an epoch a checkpoint costs no rework

    def _step(self, rows: Tensor) -> None:
        factor = rate_factor(self.training, self.clock.step, self.total_steps)
        generator = torch.Generator().manual_seed(self.seed * STREAM + 2**40 + self.clock.step)
        progress = self.clock.step / max(1, self.total_steps - 1)
        means, present = self.learner.descend(self._batch(rows), generator, progress)
        if all(clip_gradients(part, self.training.clip_norm) for part in self.learner.parts()):
            self.optimizer.step(factor)
        elif present.any():
            self.skipped["(all)"] = self.skipped.get("(all)", 0) + 1
        self.optimizer.zero_grad()
        self.meter.add({n: means[t] if present[t] else None for t, n in enumerate(self.objectives.names)}, None)
        self.clock.step += 1
        self.clock.rows += len(rows)
        self.offset += 1

    def _batch(self, rows: Tensor) -> Batch:
        features = self.data.features[rows].to(self.device)
        targets = [target.take(rows).to(self.device) for target in self.data.targets]
        return Batch(features, targets, self.objectives, self.autocast)

    def _log(self) -> None:
        losses, _ = self.meter.take()
        for task, value in losses.items():
            self.history.add(self.name, self.clock, "train", "loss", value, task)
        rate = self.training.learning_rate * rate_factor(self.training, self.clock.step, self.total_steps)
        self.history.add(self.name, self.clock, "train", "learning_rate", rate)
        self._tell(losses)

    def _tell(self, losses: Mapping[str, float]) -> None:
        speed = self.clock.rows / max(self.clock.seconds, 1e-9)
        self.progress.advance(self.clock.rows - self._told, losses, speed)
        self._told = self.clock.rows

    def _validate(self) -> None:
        points = self.learner.points(self.objectives, self.live)
        finite = points.isfinite().all(dim=1)
        score = float(hypervolume(points[finite], self.reference)) if finite.any() else float("-inf")
        self.history.add(self.name, self.clock, "validation", "hypervolume", score)
        least = dict(zip(self.objectives.names, points.min(dim=0).values.tolist(), strict=True))
        for task, value in least.items():
            self.history.add(self.name, self.clock, "validation", "loss", value, task)
        self.best.update(score, self.epoch, self.model.state_dict())
        self.progress.evaluated(self.epoch, {"hypervolume": score, **least})

    def _save_if_due(self, share: float) -> None:
        if time.monotonic() - self._saved >= share * self.training.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        self.history.save(self.history_path)
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "clock": asdict(self.clock),
            "best": self.best.state(),
            "meter": self.meter.state(),
            "skipped": self.skipped,
            "epoch": self.epoch,
            "offset": self.offset,
        }
        save_checkpoint(self.checkpoint, state)
        self._saved = time.monotonic()

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.clock, self.best = Clock(**state["clock"]), Best(**state["best"])
        self.meter.restore(state["meter"])
        self.skipped, self.epoch, self.offset = state["skipped"], state["epoch"], state["offset"]
        self.history.forget_after(self.name, self.clock.step, midway=self.offset > 0)
