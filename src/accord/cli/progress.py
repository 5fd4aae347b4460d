"""What a run shows while it works: a bar on a terminal, a line now and then elsewhere. All of it on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import final

from accord.cli.output import format_seconds

PLAIN_INTERVAL_SECONDS = 10.0
SHOWN_TASKS = 4


def make_progress() -> Bar | Lines:
    """Return the progress display that suits standard error."""
    return Bar() if sys.stderr.isatty() else Lines()


@final
class Lines:
    """One line per event, for logs and pipes. Implements :class:`accord.training.progress.Progress`."""

    def __init__(self) -> None:
        self._planned = self._done = 0
        self._label = ""
        self._started = self._spoke = time.monotonic()

    def plan(self, rows: int, label: str) -> None:
        self._planned, self._done = rows, 0
        self._started = time.monotonic()
        self.say(f"{label}: at most {rows:,} rows through models")

    def begin(self, label: str, rows: int) -> None:
        self._label = label
        self.say(f"{label}: training on at most {rows:,} rows")

    def advance(self, rows: int, losses: Mapping[str, float], rows_per_second: float) -> None:
        self._done += rows
        if time.monotonic() - self._spoke >= PLAIN_INTERVAL_SECONDS:
            self.say(f"{self._label}: {self._state(rows_per_second)}, {format_losses(losses)}")

    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.say(f"{self._label}: epoch {epoch}, validation {format_metrics(metrics)}")

    def end(self, skipped_rows: int) -> None:
        self._done += skipped_rows

    def say(self, message: str) -> None:
        self._spoke = time.monotonic()
        print(message, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to tidy: every line is complete."""

    def _state(self, rows_per_second: float) -> str:
        spent = time.monotonic() - self._started
        left = spent * (self._planned - self._done) / max(self._done, 1)
        share = 100 * self._done / max(self._planned, 1)
        return f"{share:.0f} %, {rows_per_second:,.0f} rows/s, about {format_seconds(max(left, 0))} left"


@final
class Bar:
    """A bar over the whole command with speed, losses and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[speed]}", markup=False),
            TextColumn("{task.fields[losses]}", markup=False),
            console=self._console,
            transient=True,
            speed_estimate_period=120,
        )
        self._task = self._progress.add_task("", total=None, speed="", losses="")
        self._label = ""

    def plan(self, rows: int, label: str) -> None:
        self._progress.reset(self._task, total=rows, description=label)
        self._progress.start()

    def begin(self, label: str, rows: int) -> None:  # noqa: ARG002 - the bar spans the whole command
        self._label = label
        self._progress.update(self._task, description=label, speed="", losses="")

    def advance(self, rows: int, losses: Mapping[str, float], rows_per_second: float) -> None:
        speed = f"{rows_per_second:,.0f} rows/s"
        self._progress.update(self._task, advance=rows, speed=speed, losses=format_losses(losses))

    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.say(f"{self._label}: epoch {epoch}, validation {format_metrics(metrics)}")

    def end(self, skipped_rows: int) -> None:
        self._progress.update(self._task, advance=skipped_rows)

    def say(self, message: str) -> None:
        self._console.print(message, markup=False)

    def close(self) -> None:
        """Remove the bar; what was said stays."""
        self._progress.stop()


def format_losses(losses: Mapping[str, float]) -> str:
    """Return ``loss a 0.123, b 0.456``; of more than :data:`SHOWN_TASKS` tasks, the worst ones."""
    worst = sorted(losses, key=lambda task: -losses[task])[:SHOWN_TASKS]
    shown = ", ".join(f"{task} {losses[task]:.3f}" for task in losses if task in worst)
    return f"loss {shown}" if len(worst) == len(losses) else f"worst losses {shown}"


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return ``a 0.9123, b 0.8456``."""
    return ", ".join(f"{task} {value:.4f}" for task, value in metrics.items())
