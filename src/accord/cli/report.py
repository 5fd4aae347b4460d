"""``accord report``: a run's report, written again."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from accord.cli import runs

EXAMPLES = """\
Examples:
  accord report runs/census-income
      Writes runs/census-income/report.html again and prints its path.
  accord report runs/census-income --out census.html
      Writes it elsewhere, e.g. to send it to someone.

The report is one file that needs no network: verdict, metrics, learning curves,
weights, conflicts between tasks, calibration, and how to reproduce the run."""

app = App(help_epilogue=EXAMPLES)


@app.default
def report(run: Path, /, *, out: Path | None = None) -> None:
    """Write a run's report again, as one HTML file.

    Args:
        run: a run directory.
        out: the HTML file; RUN/report.html when left out.
    """
    print(runs.report(run, out))
