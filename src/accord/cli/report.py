"""``accord report``: the page of a run, a comparison, a grouping or a front, written again."""

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
  accord report runs/compare
      Writes runs/compare/compare.html again; likewise for what accord group and
      accord front wrote.

The page is one file that needs no network. That of a run has the verdict,
metrics, learning curves, weights, conflicts between tasks, calibration, and how
to reproduce the run."""

app = App(help_epilogue=EXAMPLES)


@app.default
def report(run: Path, /, *, out: Path | None = None) -> None:
    """Write the page of a run, comparison, grouping or front again, as one file.

    Args:
        run: a directory that accord fit, compare, group or front wrote.
        out: the HTML file; RUN/report.html (compare.html, group.html, front.html) when left out.
    """
    print(runs.report(run, out))
