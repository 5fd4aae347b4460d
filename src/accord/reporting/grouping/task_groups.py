"""What ``accord.group`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from accord.reporting.grouping.page import write_grouping
from accord.reporting.grouping.text import grouping_text


@final
@dataclass(frozen=True)
class TaskGroups:
    """Which tasks should train together.

    Attributes:
        results: what is in ``group.json``; empty where Ctrl-C came first (go on with ``resume=True``).
        directory: where the records and the specifications of the groups are.
    """

    results: Mapping[str, Any]
    directory: Path

    def __str__(self) -> str:
        return grouping_text(self.results)

    @property
    def groups(self) -> list[list[str]]:
        """The tasks' names, group by group."""
        return [list(group["tasks"]) for group in self.results.get("groups", [])]

    def specs(self) -> list[Path]:
        """Return the specification of each group, ready for ``accord fit``."""
        return [self.directory / group["spec"] for group in self.results.get("groups", [])]

    def report(self, path: str | Path | None = None) -> Path:
        """Write the page (``group.html`` in the directory by default) and return its path."""
        return write_grouping(self.directory, path)
