"""What a run tells while it works: a protocol, and a silent implementation; the command line has the pretty one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, final


class Progress(Protocol):
    """Receives news of a run. Calls come a few times a second at most, except :meth:`begin` and :meth:`end`."""

    def plan(self, rows: int, label: str) -> None:
        """The whole command will pass about ``rows`` rows through models; ``label`` says what it does."""

    def begin(self, label: str, rows: int) -> None:
        """One model starts training over at most ``rows`` rows, e.g. ``"joint, seed 0"``."""

    def advance(self, rows: int, losses: Mapping[str, float], rows_per_second: float) -> None:
        """``rows`` more rows were trained on; ``losses`` are recent means per task."""

    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch ended with these validation metrics, one per task."""

    def end(self, skipped_rows: int) -> None:
        """The model is done; ``skipped_rows`` were not needed because it stopped early."""

    def say(self, message: str) -> None:
        """One sentence that a person should see."""


@final
class Silent:
    """Says nothing."""

    def plan(self, rows: int, label: str) -> None:
        """Ignore."""

    def begin(self, label: str, rows: int) -> None:
        """Ignore."""

    def advance(self, rows: int, losses: Mapping[str, float], rows_per_second: float) -> None:
        """Ignore."""

    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Ignore."""

    def end(self, skipped_rows: int) -> None:
        """Ignore."""

    def say(self, message: str) -> None:
        """Ignore."""
