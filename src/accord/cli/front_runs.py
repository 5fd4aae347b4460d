"""Where the commands of fronts meet the library."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli import runs
from accord.cli.output import INTERRUPTED
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.cli.progress import Bar, Lines
    from accord.steering import FrontSpec
    from accord.training import Plan


def unfinished(directory: str) -> tuple[str, Path]:
    """Return the specification and the directory of an unfinished front."""
    spec = Path(directory) / "front.yaml"
    if not spec.is_file():
        raise ConfigurationError(f"nothing to resume at {directory}: give its directory, or name it with --out")
    return str(spec), Path(directory)


def resolve(
    source: str, targets: Sequence[str], changes: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[Plan, FrontSpec]:
    """Return the plan of the run and how the front is found.

    Args:
        source: a table, a data set's name, or a specification, with a section ``front`` or without.
        targets: columns to predict; empty where a specification names its tasks.
        changes: dotted options that replace those of the specification; those of ``front`` too.
        asked: options of the section ``front``, which win over those of the specification.
    """
    from accord.steering import parse_front
    from accord.training import plan
    from accord.training.sections import read_section

    rest = {key: value for key, value in changes.items() if not key.startswith("front.")}
    if Path(source).suffix.lower() not in (".yaml", ".yml"):
        section: dict[str, Any] = {}
        planned = runs.resolve(source, targets, rest)
    elif targets:
        raise ConfigurationError(f"{source} names its tasks already: leave --targets out, or edit the file")
    else:
        spec, section = read_section(source, "front")
        planned = plan(spec=spec.override(rest))
    return planned, parse_front(_changed(section, changes, asked))


def _changed(section: Mapping[str, Any], changes: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    own = {key.removeprefix("front."): value for key, value in changes.items() if key.startswith("front.")}
    options = {key.removeprefix("options."): own.pop(key) for key in list(own) if key.startswith("options.")}
    found = {**section, **own, **asked}
    # Another method has other options.
    kept = section.get("options") or {} if found.get("method") == section.get("method") else {}
    return {**found, "options": {**kept, **dict(own.get("options") or {}), **options}}


def text(plan: Plan, front: FrontSpec) -> str:
    """Return the complete specification as YAML."""
    from accord.training.sections import section_yaml

    return section_yaml(plan.spec, "front", front)


def write(plan: Plan, front: FrontSpec, path: Path) -> None:
    """Write the complete specification."""
    path.write_text(text(plan, front), encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


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
    print(
        f"accord: interrupted; the front so far is in {out}. Go on with: accord front {out} --resume", file=sys.stderr
    )
    return INTERRUPTED
