"""Whether a directory may be taken, and an unfinished run be gone on with on the table that it began with."""

from __future__ import annotations

from pathlib import Path

from accord.data import Table, fingerprint, what_changed
from accord.errors import RunError
from accord.training.files import read_json, write_json


def check_free(directory: Path, what: str) -> None:
    """Refuse a directory that holds something, to begin ``what`` in it.

    Raises:
        RunError: it does, or it is a file.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RunError(
            f"{directory} is not empty; choose another --out, or add --resume to go on with an unfinished {what}"
        )


def same_table(directory: Path, path: Path, table: Table) -> None:
    """Refuse to go on with a table that changed: half of the models would be of other rows than the rest.

    Args:
        directory: of the run, for the message.
        path: where the table's fingerprint is kept; written when it is not there yet.
        table: as it is now.

    Raises:
        RunError: it changed, or ``path`` is damaged.
    """
    now = fingerprint(table)
    if not path.exists():
        write_json(path, now)
        return
    try:
        before = read_json(path)
    except RunError as error:
        raise RunError(f"{error}. Delete it if the table is still the one that {directory} began with.") from error
    if changed := what_changed(before, now):
        raise RunError(
            f"{directory} cannot be resumed: {table.source} has changed since, {changed}. "
            "Bring the old table back, or start anew in another directory."
        )
