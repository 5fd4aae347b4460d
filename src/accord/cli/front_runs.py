"""Where the commands of fronts meet the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.output import interrupted
from accord.cli.resolve import resolve_section

if TYPE_CHECKING:
    from accord.cli.progress import Bar, Lines
    from accord.steering import FrontSpec
    from accord.training import Plan


def resolve(
    source: str, targets: Sequence[str], changes: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[Plan, FrontSpec]:
    """Return the plan of the run and how the front is found; see :func:`accord.cli.resolve.resolve_section`."""
    from accord.steering import parse_front

    plan, section = resolve_section("front", source, targets, changes, asked, {"method": "options"})
    return plan, parse_front(section)


def text(plan: Plan, front: FrontSpec) -> str:
    """Return the complete specification as YAML."""
    from accord.training.sections import section_yaml

    return section_yaml(plan.spec, "front", front)


def execute(
    plan: Plan, front: FrontSpec, out: Path, *, resume: bool, progress: Bar | Lines, trackers: Sequence[str]
) -> int:
    """Train, print what the front amounts to and where its page is; return the exit code."""
    from accord.reporting import front_text, write_front
    from accord.steering import run_front

    try:
        result = run_front(plan, front, out, resume=resume, progress=progress, trackers=trackers)
    finally:
        progress.close()
    print(f"{front_text(result.results)}\n\npage  {write_front(out)}")
    if not result.interrupted:
        return 0
    return interrupted("the front so far is", out, "front")
