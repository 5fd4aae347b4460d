"""Where ``accord fit``, ``predict`` and ``report`` meet the library."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.output import INTERRUPTED
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.cli.progress import Bar, Lines
    from accord.training import Plan


def execute(plan: Plan, out: Path, *, resume: bool, progress: Bar | Lines, trackers: Sequence[str]) -> int:
    """Train, print the verdict and where the report is; return the exit code."""
    from accord.api import finish
    from accord.training import run

    try:
        result = run(plan, out, resume=resume, progress=progress, trackers=trackers)
    finally:
        progress.close()
    model = finish(result)
    print(f"{model}\n\nreport  {out / 'report.html'}")
    if not result.interrupted:
        return 0
    print(f"accord: interrupted; the run so far is in {out}. Go on with --resume --out {out}", file=sys.stderr)
    return INTERRUPTED


def predict(run: Path, source: str, out: str, query: str | None) -> None:
    """Write one row of predictions per row of ``source``."""
    suffix = Path(out).suffix.lower()
    if out != "-" and suffix not in (".parquet", ".csv"):
        raise ConfigurationError(f"--out {out!r} must end in .parquet or .csv, or be - for standard output")

    from accord.data import replacing, write_parquet
    from accord.training import Trained

    columns = Trained.load(run).predict(source, query=query)
    if out == "-":
        _write_csv(sys.stdout, columns)
    elif suffix == ".csv":
        with replacing(out) as part, part.open("w", encoding="utf-8", newline="") as file:
            _write_csv(file, columns)
    else:
        write_parquet(out, columns)


def report(run: Path, out: Path | None) -> Path:
    """Write the page of ``run`` again; return where it is."""
    from accord.reporting import write_again

    return write_again(run, out)


def _write_csv(file: Any, columns: Mapping[str, Any]) -> None:
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
