"""What a library must do to be compared, and the clock that is read while it does."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

EXPERTS, EXPERT_WIDTH, TOWER_WIDTH, EMBEDDING = 8, 16, 8, 4
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Settings:
    """What all contenders share.

    Attributes:
        batch: rows per step.
        epochs: passes over the training rows.
        seed: of initial weights and of the order of rows.
    """

    batch: int
    epochs: int
    seed: int


@dataclass
class Laps:
    """Seconds of each epoch's training steps, wall and CPU; validation and preparation are outside.

    Attributes:
        on_begin: called at the start of every epoch, on_end: at its end.
    """

    on_begin: Callable[[], None] = lambda: None
    on_end: Callable[[], None] = lambda: None
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def begin(self) -> None:
        self.on_begin()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def end(self) -> None:
        self.wall.append(time.perf_counter() - self._wall)
        self.cpu.append(time.process_time() - self._cpu)
        self.on_end()


class Contender(ABC):
    """A library: reads the table as its own documentation would, trains an MMoE, predicts the test rows."""

    name: ClassVar[str]
    distribution: ClassVar[str]

    @abstractmethod
    def prepare(self, table: Path) -> None:
        """Read and encode the file that :func:`census.write` wrote, once for all seeds."""

    @abstractmethod
    def train(self, settings: Settings, laps: Laps) -> None:
        """Train a fresh model, calling ``laps`` around every epoch."""

    @abstractmethod
    def predict(self) -> np.ndarray:
        """Return ``[N, 2]`` probabilities for the test rows, from the model trained last."""
