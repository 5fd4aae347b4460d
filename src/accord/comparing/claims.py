"""Who makes which run: agreed on before it is begun."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from accord.comparing.records import Job, Record


class Claims(ABC):
    """What stands between a list of missing runs and whoever makes them."""

    @abstractmethod
    def take(self, job: Job) -> bool:
        """Return whether ``job`` is now ours to make; ``False`` where another one makes it, or has just made it."""

    @abstractmethod
    def close_run(self, job: Job, record: Record) -> None:
        """Say that a job of ours is done and recorded."""

    @abstractmethod
    def made_elsewhere(self, job: Job) -> bool:
        """Return whether another one has made ``job`` since we began."""


@final
class Alone(Claims):
    """Nobody else is at work: everything is ours."""

    def take(self, job: Job) -> bool:  # noqa: ARG002
        return True

    def close_run(self, job: Job, record: Record) -> None:
        """Say it to nobody."""

    def made_elsewhere(self, job: Job) -> bool:  # noqa: ARG002
        return False
