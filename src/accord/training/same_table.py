"""Whether an unfinished run is gone on with on the table that it began with."""

from __future__ import annotations

from pathlib import Path

from accord.data import Table, fingerprint, what_changed
from accord.errors import RunError
from accord.training.files import read_json, write_json


def same_table(directory: Path, path: Path, table: Table) -> None:
    """Refuse to go on with a table that changed: half of the models would be of other rows than the rest.

    Args:
        directory: of the run, for the message.
        path: where the table's fingerprint is kept; written when it is not there yet.
        table: as it is now.

    Raises:
        RunError: it changed.
    """
    now = fingerprint(table)
    if not path.exists():
        write_json(path, now)
    elif changed := what_changed(read_json(path), now):
        raise RunError(
            f"{directory} cannot be resumed: {table.source} has changed since, {changed}. "
            "Bring the old table back, or start anew in another directory."
        )
