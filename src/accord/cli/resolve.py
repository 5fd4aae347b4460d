"""From what was typed after a verb to what is run: options, a specification, and a section of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.words import parse_settings
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.tasks import Task
    from accord.training import Plan, Spec

# The verbs that leave a directory of their own, and the specification in it.
MADE = {"fit": "spec.yaml", "compare": "compare.yaml", "group": "group.yaml", "front": "front.yaml"}


def collect(typed: Mapping[str, Any], *own: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the dotted options of the specification that were typed, and the options of the verb's own section.

    Args:
        typed: the verb's parameters, ``None`` where one was left out.
        own: parameters that belong to the section, also where one of a run has the same name.
    """
    from accord.training.keywords import SHORT

    given = {name: value for name, value in typed.items() if value is not None}
    asked = {name: given.pop(name) for name in own if name in given}
    changes = {key: given[name] for name, key in {**SHORT, "test": "data.test"}.items() if name in given}
    if given.get("no_baselines"):
        changes["evaluation.baselines"] = False
    changes |= {f"data.columns.{name}": kind for name, kind in parse_settings(given.get("column"), "--column").items()}
    return changes | parse_settings(given.get("set_")), asked


def unfinished(directory: str, name: str) -> tuple[str, Path]:
    """Return the specification ``name`` in a directory, and that directory, which is all that resuming needs."""
    spec = Path(directory) / name
    if not spec.is_file():
        _check_made(directory)
        raise ConfigurationError(f"nothing to resume at {directory}: give its directory, or name it with --out")
    return str(spec), Path(directory)


def _check_made(source: str) -> None:
    """Raise a :class:`ConfigurationError` where ``source`` is a directory that some verb made, with the way on."""
    for verb, name in MADE.items():
        if (Path(source) / name).is_file():
            raise ConfigurationError(
                f"{source} is a directory that accord {verb} made: go on with accord {verb} {source} --resume"
            )


def resolve(source: str, targets: Sequence[str], changes: Mapping[str, Any]) -> Plan:
    """Return the plan of a run: the complete specification and what was inferred about the table.

    Args:
        source: a table, a data set's name, or a specification (``.yaml``, ``.yml``).
        targets: columns to predict, each ``NAME`` or ``NAME:KIND``; empty where a specification names its tasks.
        changes: dotted options that replace those of the specification.
    """
    from accord.training import Spec, plan

    if _is_specification(source, targets):
        return plan(spec=Spec.from_yaml(source).override(changes))
    _check_made(source)
    if not targets:
        raise ConfigurationError("name the columns to predict: --targets a,b")
    tasks, inferred = _divide(targets)
    found = plan(source, tasks=tasks, targets=inferred, options=changes)
    # People expect the order they typed.
    order = {task.name: task for task in found.spec.parsed_tasks()}
    names = [target if target in order else target.rpartition(":")[0] for target in targets]
    return replace(found, spec=found.spec.with_tasks(tuple(order[name] for name in names)))


def resolve_section(
    section: str,
    source: str,
    targets: Sequence[str],
    changes: Mapping[str, Any],
    asked: Mapping[str, Any],
    options: Mapping[str, str],
) -> tuple[Plan, dict[str, Any]]:
    """Return the plan of every run, and a section beside it with what was set and asked.

    Args:
        section: its name.
        source: what :func:`resolve` takes; a specification may have the section.
        targets: as for :func:`resolve`.
        changes: dotted options that replace those of the specification, of the section too.
        asked: options of the section, which win over those of the specification.
        options: where the section keeps the options of a method that it names: ``{"method": "options"}``.
    """
    from accord.training import plan
    from accord.training.sections import read_section

    prefix = f"{section}."
    own = {key.removeprefix(prefix): value for key, value in changes.items() if key.startswith(prefix)}
    rest = {key: value for key, value in changes.items() if not key.startswith(prefix)}
    if not _is_specification(source, targets):
        return resolve(source, targets, rest), changed({}, own, asked, options)
    spec, found = read_section(source, section)
    planned = plan(_kept(spec, source, "train"), spec=spec.override(rest), test=_kept(spec, source, "test"))
    return planned, changed(found, own, asked, options)


def changed(
    section: Mapping[str, Any], own: Mapping[str, Any], asked: Mapping[str, Any], options: Mapping[str, str]
) -> dict[str, Any]:
    """Return a section with what was set and asked; another method than the section's has other options."""
    whole = {key: value for key, value in own.items() if "." not in key} | dict(asked)
    found = {**section, **{key: section.get(key) or {} for key in options.values()}}
    for name, key in options.items():
        if whole.get(name, section.get(name)) != section.get(name):
            found[key] = {}
    found |= whole
    for key, value in own.items():
        if "." in key:
            found = _placed(found, key.split("."), value)
    return found


def _placed(before: Any, keys: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a mapping, or a new one where there was none, with ``value`` at the end of ``keys``."""
    first, *rest = keys
    found = dict(before) if isinstance(before, Mapping) else {}
    return {**found, first: _placed(found.get(first), rest, value) if rest else value}


def show(plan: Plan, specification: str) -> None:
    """Print the inferred columns, what nearly gives a target away, and the specification."""
    from rich.console import Console

    from accord.data import find_leakage
    from accord.data.show import schema_table

    console = Console()
    if console.is_terminal:
        console.print(schema_table(plan.schema))
    else:
        print(plan)
    targets = [column for task in plan.spec.parsed_tasks() for column in task.columns]
    for leak in find_leakage(plan.table, plan.schema, targets):
        print(f"LEAKAGE? {leak}")
    print(f"\n{specification}")


def write(specification: str, path: Path) -> None:
    """Write the complete specification."""
    path.write_text(specification, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


def _is_specification(source: str, targets: Sequence[str]) -> bool:
    if Path(source).suffix.lower() not in (".yaml", ".yml"):
        return False
    if targets:
        raise ConfigurationError(f"{source} names its tasks already: leave --targets out, or edit the file")
    return True


def _kept(spec: Spec, source: str, part: str) -> str | None:
    """Return where a directory keeps a table that was given in memory, beside its specification."""
    from accord.training.spec import IN_MEMORY

    path = Path(source).with_name(f"{part}.parquet")
    return str(path) if spec.data.source == IN_MEMORY and path.is_file() else None


def _divide(targets: Sequence[str]) -> tuple[list[Task], list[str]]:
    """Return the tasks whose kinds were given, and the columns whose kinds are to be inferred."""
    from accord.tasks import TargetEncoder, Task

    tasks, inferred = [], []
    for target in targets:
        name, _, kind = target.rpartition(":")
        # A column may have a colon in its name; only a known kind behind the last one is taken for one.
        if name and kind in TargetEncoder.kinds:
            tasks.append(Task(name, kind))
        else:
            inferred.append(target)
    return tasks, inferred
