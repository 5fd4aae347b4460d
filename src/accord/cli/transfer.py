"""What a merge shows while it works: a bar of bytes on a terminal, a line now and then elsewhere. On standard error."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from accord.cli.output import format_seconds
from accord.cli.progress import PLAIN_INTERVAL_SECONDS
from accord.merging.progress import WRITING


class Transfer(Protocol):
    """Progress of bytes; a context manager."""

    def __enter__(self) -> Transfer: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, done: int, whole: int, phase: str) -> None:
        """Show that ``done`` of ``whole`` bytes are done, and of what: writing, or what comes before and after."""
        ...


def make_transfer(label: str) -> Transfer:
    """Return the display that suits standard error."""
    return _Bar(label) if sys.stderr.isatty() else _Lines(label)


class _Lines:
    """Speaks of writing alone: a log needs to know that something happens, and when it will be done."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started = self._spoke = time.monotonic()
        self._before: int | None = None

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to tidy: every line is complete."""

    def __call__(self, done: int, whole: int, phase: str) -> None:
        if phase != WRITING:
            return
        now = time.monotonic()
        if self._before is None:
            # What an earlier, killed run had written counts for no speed, nor do passes before it.
            self._before, self._started, self._spoke = done, now, now
        if now - self._spoke < PLAIN_INTERVAL_SECONDS:
            return
        self._spoke = now
        speed = max(done - self._before, 1) / (now - self._started)
        left = format_seconds((whole - done) / speed)
        print(f"{self._label}: {done / max(whole, 1):.0%} written, about {left} left", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._progress.add_task(label, total=None)
        self._label, self._phase = label, ""

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, done: int, whole: int, phase: str) -> None:
        if phase != self._phase:
            self._phase = phase
            # Speed and time left are those of this phase.
            self._progress.reset(self._task, total=whole, completed=done, description=f"{self._label}: {phase}")
            self._progress.refresh()
        else:
            self._progress.update(self._task, completed=done)
