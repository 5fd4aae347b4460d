"""The page as one file, to send to someone."""

from __future__ import annotations

from pathlib import Path

from accord.exploring.page import front_page
from accord.exploring.view import load_view
from accord.reporting.write import write_page


def write_front_page(run: str | Path, path: str | Path) -> Path:
    """Write the page of a front as one HTML file that needs no server and no network, and return its path.

    It shows the stored points; between them the nearest one is shown. The same front gives the same bytes.

    Raises:
        RunError: no front there, a damaged one, or no room to write.
    """
    return write_page(Path(path), front_page(load_view(run), live=False))
