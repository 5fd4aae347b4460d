"""How many runs are made at a time, and with whom: what is checked before a directory is claimed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from accord.comparing.choose import Measure
from accord.comparing.claims import Alone, Claims
from accord.comparing.study import Study
from accord.errors import ConfigurationError, MissingExtraError


@dataclass(frozen=True)
class Crew:
    """Who makes the runs of a comparison.

    Attributes:
        jobs: runs at a time on this machine, each in a process of its own; 1 stays in this one.
        storage: where several machines agree on who makes which run: the file of an Optuna journal, or the address of a
            database (``postgresql://...``); ``None`` where this machine is alone. All of them see the comparison's
            directory, by whatever path.
    """

    jobs: int = 1
    storage: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigurationError(f"jobs must be at least 1, not {self.jobs!r}")
        if self.storage is None:
            return
        if not self.storage:
            raise ConfigurationError("storage must be the file of a journal or the address of a database, not ''")
        if self.storage.startswith("redis"):
            raise ConfigurationError(
                f"storage {self.storage!r}: Redis keeps snapshots whose loading can execute code; give the file of a "
                "journal or the address of an SQL database"
            )
        if find_spec("optuna") is None:
            raise MissingExtraError("a comparison over several machines", "machines", "optuna")

    @contextmanager
    def claims(self, study: Study, judged: Sequence[Measure]) -> Iterator[Claims]:
        """Open what the makers of runs agree by."""
        if self.storage is None:
            yield Alone()
            return
        from accord.comparing.board import Board

        board = Board(self.storage, study, judged)
        try:
            yield board
        finally:
            board.close()
