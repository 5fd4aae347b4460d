"""Where the command of comparisons meets the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.output import interrupted
from accord.cli.resolve import resolve_section
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.cli.progress import Bar, Lines
    from accord.comparing import CompareSpec, Crew
    from accord.training import Plan


def resolve(
    source: str, targets: Sequence[str], changes: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[Plan, CompareSpec]:
    """Return the plan of every run and what is compared; see :func:`accord.cli.resolve.resolve_section`."""
    from accord.comparing import parse_compare

    plan, section = resolve_section("compare", source, targets, changes, asked, {})
    if "methods" not in section:
        raise ConfigurationError("name the methods to compare: --methods cagrad,mmoe (see accord methods)")
    return plan, parse_compare(section)


def show(plan: Plan, compare: CompareSpec) -> None:
    """Print how many runs of whom there would be, and the specification as YAML."""
    from accord.comparing import Study
    from accord.training.sections import section_yaml

    study = Study.of(Path(), plan.spec, compare)
    each = compare.trials + compare.seeds
    print(f"{len(study.entrants)} entrants: {', '.join(entrant.name for entrant in study.entrants)}")
    print(f"{each} runs of each ({compare.trials} to tune, {compare.seeds} to test), {each * len(study.entrants)} runs")
    print(f"\n{section_yaml(plan.spec, 'compare', compare)}")


def execute(plan: Plan, compare: CompareSpec, out: Path, crew: Crew, *, resume: bool, progress: Bar | Lines) -> int:
    """Compare, print the answer and where the report is; return the exit code."""
    from accord.comparing import begin, run_study
    from accord.reporting import comparison_text, write_comparison

    try:
        study = begin(plan, compare, out, resume=resume or crew.storage is not None)
        outcome = run_study(study, crew, progress=progress)
    finally:
        progress.close()
    if outcome.results is None:
        return interrupted("finished runs are", out, "compare")
    print(f"{comparison_text(outcome.results)}\n\nreport  {write_comparison(out)}")
    return 0
