"""The page of a front."""

from __future__ import annotations

from pathlib import Path

from accord.errors import RunError
from accord.reporting.html import Markup, bdi, el
from accord.reporting.page import document
from accord.reporting.run import read_json_object
from accord.reporting.write import write_page


def write_front(directory: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the front in ``directory``, ``front.html`` there by default, and return its path.

    Raises:
        RunError: no front, a damaged file, or no room to write.
    """
    directory = Path(directory)
    found = read_json_object(directory / "front.json")
    if not found:
        raise RunError(f"{directory} holds no front: there is no front.json")
    return write_page(
        directory / "front.html" if path is None else Path(path),
        document("front", el("header", bdi(directory.name)), [], Markup("")),
    )
