"""Where the command of groups meets the library."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.output import interrupted
from accord.cli.resolve import resolve_section
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.cli.progress import Bar, Lines
    from accord.grouping import GroupSpec
    from accord.training import Plan


def parse_budget(text: str) -> dict[str, Any]:
    """Return options of the section ``group``: ``3`` is a number of groups, ``2.5x`` an amount of compute.

    Raises:
        ConfigurationError: it is neither.
    """
    if re.fullmatch(r"\d+", text):
        return {"groups": int(text), "compute": None}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x", text)
    if found is None:
        raise ConfigurationError(
            f"--budget {text!r} is neither a number of groups (3) nor an amount of compute (2.5x: that of two and a "
            "half models of all tasks)"
        )
    return {"groups": None, "compute": float(found[1])}


def resolve(
    source: str, targets: Sequence[str], changes: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[Plan, GroupSpec]:
    """Return the plan of every run and how tasks are divided; see :func:`accord.cli.resolve.resolve_section`."""
    from accord.grouping import parse_group

    options = {"affinity": "affinity_options", "partitioner": "partitioner_options"}
    plan, section = resolve_section("group", source, targets, changes, asked, options)
    return plan, parse_group(section)


def text(plan: Plan, group: GroupSpec) -> str:
    """Return how many runs there would be, and the complete specification as YAML."""
    from accord.grouping import GroupStudy, probe_jobs
    from accord.training.sections import section_yaml

    study = GroupStudy(Path(), plan.spec, group)
    tasks, looks = len(study.names), len(probe_jobs(study))
    most = group.groups or min(3, tasks)
    groups = f"up to {most} groups" if group.compute is None else f"groups for the compute of {group.compute:g} models"
    measured = f", then {group.seeds} seeds of these, random groups, all together and {tasks} single-task models"
    said = f"# {tasks} tasks: {looks} runs to look at them, {groups}{measured if group.measure else ''}"
    return f"{said}\n{section_yaml(plan.spec, 'group', group)}"


def execute(plan: Plan, group: GroupSpec, out: Path, *, jobs: int, resume: bool, progress: Bar | Lines) -> int:
    """Group, print the answer and where everything is; return the exit code."""
    from accord.comparing import Crew
    from accord.grouping import begin, run_study
    from accord.reporting import grouping_text, write_grouping

    crew = Crew(jobs)
    try:
        outcome = run_study(begin(plan, group, out, resume=resume), crew, progress=progress)
    finally:
        progress.close()
    if outcome.results is None:
        return interrupted("finished runs are", out, "group")
    print(f"{grouping_text(outcome.results)}\n\nreport  {write_grouping(out)}")
    print(f"specs   {out / 'groups'} (accord fit {out / 'groups' / 'group-1.yaml'})")
    return 0
