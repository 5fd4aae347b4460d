"""The training loop of one model: steps, validation, checkpoints, early stopping, interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from accord.balancer import Balancer
from accord.engines import backward, release_memory
from accord.training.checkpoint import load_checkpoint, save_checkpoint
from accord.training.conflict import Conflict, measure
from accord.training.environment import peak_memory_mb
from accord.training.evaluate import validation_metrics
from accord.training.feed import Feed, InTurn, Rows
from accord.training.history import Clock, History
from accord.training.interrupt import Stop
from accord.training.meter import Meter
from accord.training.optimizer import build_optimizer, clip_gradients
from accord.training.problem import Problem
from accord.training.progress import Progress
from accord.training.schedule import rate_factor
from accord.training.spec import BalancingSpec, TrainingSpec
from accord.training.stopping import Best
from accord.weighting import LooksAhead

LOGS_PER_EPOCH = 20
CONFLICTS_PER_RUN = 40


@runtime_checkable
class CountsEpochs(Protocol):
    """A balancer that goes by what epochs brought, such as dynamic weight averaging or Gradient-Blend."""

    def end_epoch(self, *, train: Tensor, validation: Tensor) -> None:
        """An epoch is over; these are the tasks' mean losses in it and after it, ``[T]``, NaN where there is none."""


class Watcher(Protocol):
    """Looks on while a model is trained, and leaves it and the random numbers of training as they are."""

    def look(self, problem: Problem, rows: Tensor, step: int, steps: int) -> None:
        """Step ``step`` (from 0) of at most ``steps`` is about to be made on ``rows``."""

    def end_epoch(self, problem: Problem) -> None:
        """An epoch is over."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return everything seen so far."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state_dict`."""


@dataclass(frozen=True)
class Outcome:
    """How training ended; the model holds the weights of the best epoch."""

    clock: Clock
    best_epoch: int
    best_score: float
    interrupted: bool
    skipped: dict[str, int]

    def facts(self, model: nn.Module) -> dict[str, Any]:
        """Return what is kept of how ``model`` was trained and what that cost."""
        return {
            "seconds": self.clock.seconds,
            "rows": self.clock.rows,
            "score": self.best_score,
            "epoch": self.best_epoch,
            "skipped": self.skipped,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "peak_memory_mb": peak_memory_mb(),
        }


@dataclass
class Trainer:
    """Trains ``problem.model`` in place.

    Attributes:
        problem: model, data and loss of one run.
        training: budget and optimiser.
        balancing: which engine and method; ``balancer`` is the built method.
        name: ``(run, seed)``, e.g. ``("joint", 0)``.
        checkpoint: where state is kept while training; read first when it exists.
        watcher: looks on.
        feed: where rows come from; all training rows in turn if ``None``.
        preference: ``[T]``, weights of the validation losses that the best epoch is chosen by; else by primary metrics.
    """

    problem: Problem
    training: TrainingSpec
    balancing: BalancingSpec
    balancer: Balancer
    name: tuple[str, int]
    history: History
    history_path: Path
    checkpoint: Path
    progress: Progress
    stop: Stop
    preference: Sequence[float] | None = None
    watcher: Watcher | None = None
    feed: Feed | None = None
    clock: Clock = field(default_factory=Clock)
    best: Best = field(default_factory=Best)
    epoch: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        self.steps_per_epoch = -(-len(self.problem.train) // self.training.batch_size)
        self.total_steps = self.steps_per_epoch * self.training.epochs
        self.optimizer = build_optimizer(self.problem.model, self.balancer, self.training)
        self.meter = Meter([task.name for task in self.problem.tasks])
        self.epoch_meter = Meter([task.name for task in self.problem.tasks])
        self.rows = self.feed or InTurn(self.problem, self.training.batch_size, self.name[1])
        self.skipped: dict[str, int] = {}
        self._saved = time.monotonic()
        self._told = 0

    def train(self) -> Outcome:
        """Train to the end of the budget, an early stop, or an interruption; then restore the best weights."""
        if self.checkpoint.exists():
            self._restore(load_checkpoint(self.checkpoint))
        self.progress.begin(f"{self.name[0]}, seed {self.name[1]}", self.training.epochs * len(self.problem.train))
        self._tell({})  # what an earlier attempt did counts as done
        while self.epoch < self.training.epochs and not self._patience_over() and not self.stop.requested:
            self._train_epoch()
        if self.best.epoch < 0:  # interrupted within the first epoch
            self._validate()
        self.problem.model.load_state_dict(self.best.weights)
        release_memory()
        self.progress.end(self.training.epochs * len(self.problem.train) - self.clock.rows)
        return Outcome(self.clock, self.best.epoch, self.best.score, self.stop.requested, self.skipped)

    def _patience_over(self) -> bool:
        return 0 < self.training.patience <= self.best.waited

    def _train_epoch(self) -> None:
        self.problem.model.train()
        for rows in self.rows.epoch(self.epoch, self.offset):
            began = time.monotonic()
            self._step(rows)
            self.clock.seconds += time.monotonic() - began
            self._after_step()
            if self.stop.requested:
                self._save()
                return
        self.offset = 0
        self.epoch += 1
        validation = self._validate()
        train, _ = self.epoch_meter.take()
        if isinstance(self.balancer, CountsEpochs):
            self.balancer.end_epoch(train=self._vector(train), validation=self._vector(validation))
        if self.watcher is not None:
            self.watcher.end_epoch(self.problem)
        self._save_if_due(at_epoch_end=True)

    def _step(self, rows: Rows) -> None:
        problem = self.problem
        factor = rate_factor(self.training, self.clock.step, self.total_steps)
        if self.watcher is not None:
            self.watcher.look(problem, rows.numbers, self.clock.step, self.total_steps)
        self._look_ahead(rows, factor * self.training.learning_rate)
        losses = self._losses(rows)
        conflict = self._conflict(losses)
        step = backward(
            rows.weighed(losses),
            problem.shared,
            self.balancer,
            task_parameters=problem.private,
            at=problem.gramian_at(self.balancer),
            engine=self.balancing.engine,
            # A run is one process's; where a launcher has started several, each trains a model of its own.
            group="local",
        )
        for task in step.skipped:
            if losses[task] is not None:
                self.skipped[task] = self.skipped.get(task, 0) + 1
        if clip_gradients(problem.model, self.training.clip_norm):
            self.optimizer.step(factor)
        else:
            self.skipped["(all)"] = self.skipped.get("(all)", 0) + 1
        self.rows.learn(rows, losses, step)
        self.optimizer.zero_grad()
        for name, value, task, other in conflict.rows(step, factor * self.training.learning_rate) if conflict else ():
            self.history.add(self.name, self.clock, "train", name, value, task, other)
        self.meter.add(losses, step.weights)
        self.epoch_meter.add(losses, None)
        self.clock.step += 1
        self.clock.rows += len(rows)
        self.offset += 1

    def _look_ahead(self, rows: Rows, rate: float) -> None:
        """Let a balancer that asks for it try a step on one half of the rows and judge it by the other."""
        if isinstance(self.balancer, LooksAhead) and len(rows) > 1:
            self.balancer.update(
                [*self.problem.shared, *self.problem.private],
                train=lambda: self._losses(rows.every_second(0)),
                validation=lambda: self._losses(rows.every_second(1)),
                step=rate,
            )

    def _losses(self, rows: Rows) -> dict[str, Tensor | None]:
        return self.problem.losses(rows.numbers, rows.owners)

    def _conflict(self, losses: Mapping[str, Tensor | None]) -> Conflict | None:
        """Measure how the tasks conflict now and then; cheap, because rare."""
        if self.clock.step % max(10, self.total_steps // CONFLICTS_PER_RUN):
            return None
        return measure(losses, self.problem, layers=self.balancing.conflict == "layers")

    def _after_step(self) -> None:
        if self.offset % max(1, self.steps_per_epoch // LOGS_PER_EPOCH) == 0 or self.offset == self.steps_per_epoch:
            self._log()
        self._save_if_due(at_epoch_end=False)

    def _log(self) -> None:
        losses, weights = self.meter.take()
        for task, value in losses.items():
            self.history.add(self.name, self.clock, "train", "loss", value, task)
        for task, value in weights.items():
            self.history.add(self.name, self.clock, "train", "weight", value, task)
        for task, value in self.rows.take_shares().items():
            self.history.add(self.name, self.clock, "train", "share", value, task)
        rate = self.training.learning_rate * rate_factor(self.training, self.clock.step, self.total_steps)
        self.history.add(self.name, self.clock, "train", "learning_rate", rate)
        self._tell(losses)

    def _tell(self, losses: Mapping[str, float]) -> None:
        speed = self.clock.rows / max(self.clock.seconds, 1e-9)
        self.progress.advance(self.clock.rows - self._told, losses, speed)
        self._told = self.clock.rows

    def _vector(self, values: Mapping[str, float]) -> Tensor:
        """Return the tasks' ``values`` in order, float64 on the CPU, NaN for those without."""
        return torch.tensor([values.get(task.name, math.nan) for task in self.problem.tasks], dtype=torch.float64)

    def _validate(self) -> dict[str, float]:
        """Record the validation metrics, keep the best weights, and return the tasks' losses."""
        metrics = validation_metrics(self.problem)
        encoders = self.problem.objectives.encoders
        primary = {e.task.name: metrics[e.task.name][e.task.primary] for e in encoders}
        better = {e.task.name: e.metrics()[e.task.primary].higher_is_better for e in encoders}
        for task, values in metrics.items():
            for metric, value in values.items():
                self.history.add(self.name, self.clock, "validation", metric, value, task)
        losses = {task: values["loss"] for task, values in metrics.items()}
        score = self.best.scored(primary, better) if self.preference is None else self._preferred(losses)
        self.best.update(score, self.epoch, self.problem.model.state_dict())
        self.progress.evaluated(self.epoch, primary)
        return losses

    def _preferred(self, losses: Mapping[str, float]) -> float:
        weighed = zip(self.preference or (), losses.values(), strict=True)
        return -sum(weight * loss for weight, loss in weighed if weight and loss == loss)

    def _save_if_due(self, *, at_epoch_end: bool) -> None:
        # At the end of an epoch a checkpoint costs no rework, so it is taken well before the interval is over.
        interval = self.training.checkpoint_seconds * (0.2 if at_epoch_end else 1.0)
        if time.monotonic() - self._saved >= interval:
            self._save()

    def _save(self) -> None:
        self.history.save(self.history_path)
        state = {
            "model": self.problem.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "balancer": self.balancer.state_dict(),
            "clock": asdict(self.clock),
            "best": self.best.state(),
            "meter": self.meter.state(),
            "epoch_meter": self.epoch_meter.state(),
            "rows": self.rows.state(),
            "skipped": self.skipped,
            "watcher": self.watcher.state_dict() if self.watcher is not None else {},
            "epoch": self.epoch,
            "offset": self.offset,
        }
        save_checkpoint(self.checkpoint, state)
        self._saved = time.monotonic()

    def _restore(self, state: dict[str, Any]) -> None:
        self.problem.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.balancer.load_state_dict(state["balancer"])
        self.clock, self.best = Clock(**state["clock"]), Best(**state["best"])
        self.meter.restore(state["meter"])
        self.epoch_meter.restore(state["epoch_meter"])
        self.rows.restore(state["rows"])
        if self.watcher is not None:
            self.watcher.load_state_dict(state["watcher"])
        self.skipped, self.epoch, self.offset = state["skipped"], state["epoch"], state["offset"]
        self.history.forget_after(self.name, self.clock.step, midway=self.offset > 0)
