"""The page of whatever a directory holds, written again: of a run, a comparison, a grouping or a front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from accord.errors import RunError
from accord.reporting.comparison.page import write_comparison
from accord.reporting.front.page import write_front
from accord.reporting.grouping.page import write_grouping
from accord.reporting.write import write_report

# The verbs that leave a directory of their own, with VERB.yaml from the start and VERB.json in the end.
PAGES: Mapping[str, Callable[[Path, Path | None], Path]] = {
    "compare": write_comparison,
    "group": write_grouping,
    "front": write_front,
}


def write_again(directory: Path, path: Path | None = None) -> Path:
    """Write the page of what is in ``directory`` from its files alone, and return where it is.

    Args:
        directory: what ``accord fit``, ``compare``, ``group`` or ``front`` wrote.
        path: of the page; where the verb writes it when ``None``.

    Raises:
        RunError: it holds none of these, it is unfinished or damaged, or there is no room to write.
    """
    for verb, write in PAGES.items():
        if (directory / f"{verb}.json").is_file():
            return write(directory, path)
        if (directory / f"{verb}.yaml").is_file():
            raise RunError(
                f"{directory} is unfinished: there is no {verb}.json yet. Go on with "
                f"accord {verb} {directory} --resume, which writes the page in the end"
            )
    if (directory / "accord-merge.json").is_file():
        raise RunError(
            f"{directory} is a merged checkpoint, whose report needs the models that it was made of: "
            "merge again with accord merge RECIPE OUT --report"
        )
    return write_report(directory, path)
