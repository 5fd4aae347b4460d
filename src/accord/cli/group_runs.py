"""Where the command of groups meets the library."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli import runs
from accord.cli.output import INTERRUPTED
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


def unfinished(directory: str) -> tuple[str, Path]:
    """Return the specification and the directory of a grouping."""
    spec = Path(directory) / "group.yaml"
    if not spec.is_file():
        raise ConfigurationError(f"nothing to resume at {directory}: give its directory, or name it with --out")
    return str(spec), Path(directory)


def resolve(
    source: str, targets: Sequence[str], changes: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[Plan, GroupSpec]:
    """Return the plan of every run and how tasks are divided.

    Args:
        source: a table, a data set's name, or a specification, with a section ``group`` or without.
        targets: columns to predict; empty where a specification names its tasks.
        changes: dotted options that replace those of the specification; those of ``group`` too.
        asked: options of the section ``group``, which win over those of the specification.
    """
    from accord.grouping import parse_group
    from accord.training import plan
    from accord.training.sections import read_section

    rest = {key: value for key, value in changes.items() if not key.startswith("group.")}
    if Path(source).suffix.lower() not in (".yaml", ".yml"):
        section: dict[str, Any] = {}
        planned = runs.resolve(source, targets, rest)
    elif targets:
        raise ConfigurationError(f"{source} names its tasks already: leave --targets out, or edit the file")
    else:
        spec, section = read_section(source, "group")
        planned = plan(_kept(source, "train"), spec=spec.override(rest), test=_kept(source, "test"))
    return planned, parse_group(changed(section, changes, asked))


def changed(section: Mapping[str, Any], changes: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section with what was set and asked; another affinity or partitioner has other options."""
    own = {key.removeprefix("group."): value for key, value in changes.items() if key.startswith("group.")}
    whole = {key: value for key, value in own.items() if "." not in key} | dict(asked)
    found = dict(section)
    for name in ("affinity", "partitioner"):
        if whole.get(name, section.get(name)) != section.get(name):
            found[f"{name}_options"] = {}
    found |= whole
    for key, value in own.items():
        head, dot, option = key.partition(".")
        if dot:
            before = found.get(head)
            found[head] = {**(before if isinstance(before, Mapping) else {}), option: value}
    return found


def _kept(source: str, part: str) -> str | None:
    """Return where a grouping keeps a table that it was given in memory, if it does."""
    path = Path(source).with_name(f"{part}.parquet")
    return str(path) if Path(source).name == "group.yaml" and path.is_file() else None


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
        print(
            f"accord: interrupted; finished runs are in {out}. Go on with: accord group {out} --resume",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"{grouping_text(outcome.results)}\n\nreport  {write_grouping(out)}")
    print(f"specs   {out / 'groups'} (accord fit {out / 'groups' / 'group-1.yaml'})")
    return 0
