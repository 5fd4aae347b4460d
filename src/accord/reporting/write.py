"""From a run directory to one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accord.errors import RunError
from accord.reporting.page import page
from accord.reporting.run import TRAIN_AGAIN, load_run, read_json_object


def write_report(run_directory: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a run as one self-contained HTML file.

    Args:
        run_directory: holds ``metrics.json``, ``history.parquet``, ``spec.yaml`` and ``features.json``; an interrupted
            run may lack some, and the report says so.
        path: where to write; ``report.html`` in the run directory when ``None``.

    Returns:
        The path written. The same run gives the same bytes.

    Raises:
        RunError: not a run directory, a damaged file, or no room to write. A report that was there stays whole.
    """
    target = Path(run_directory) / "report.html" if path is None else Path(path)
    return write_page(target, page(load_run(run_directory)))


def write_study(
    directory: str | Path,
    path: str | Path | None,
    *,
    verb: str,
    what: str,
    page: Callable[[str, Mapping[str, Any], str], str],
) -> Path:
    """Write the page of what ``accord VERB`` left in ``directory``: its ``VERB.json`` and ``VERB.yaml``.

    Args:
        directory: of the study.
        path: of the page; ``VERB.html`` in the directory when ``None``.
        verb: names the files.
        what: the directory must hold, for the message.
        page: makes the document of the directory's name, the results and the text of the specification.

    Raises:
        RunError: there are no results, a damaged file, or no room to write.
    """
    directory = Path(directory)
    kept = f"The finished runs are kept: accord {verb} {directory} --resume writes it again"
    remedy = kept if (directory / "records").is_dir() else TRAIN_AGAIN
    found = read_json_object(directory / f"{verb}.json", remedy)
    if not found:
        raise RunError(f"{directory} holds no {what}: there is no {verb}.json")
    spec = directory / f"{verb}.yaml"
    text = spec.read_text(encoding="utf-8") if spec.is_file() else ""
    target = directory / f"{verb}.html" if path is None else Path(path)
    return write_page(target, page(directory.resolve().name, found, text))


def write_page(target: Path, text: str) -> Path:
    """Write ``text`` to ``target``, which stays whole or absent whatever happens, and return it."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RunError(
            f"could not write {target}: {error.strerror or error}. Free some space or name another file."
        ) from error
    return target
