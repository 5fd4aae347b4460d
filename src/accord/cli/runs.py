"""Where the command line meets the library: every call into ``accord.training`` and ``accord.data`` is here."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.output import INTERRUPTED
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.cli.progress import Bar, Lines
    from accord.comparing import CompareSpec, Crew
    from accord.tasks import Task
    from accord.training import Plan


def resolve(source: str, targets: Sequence[str], changes: Mapping[str, Any]) -> Plan:
    """Return the plan of a run: the complete specification and what was inferred about the table.

    Args:
        source: a table, a data set's name, or a specification (``.yaml``, ``.yml``).
        targets: columns to predict, each ``NAME`` or ``NAME:KIND``; empty where a specification names its tasks.
        changes: dotted options that replace those of the specification.
    """
    from accord.training import Spec, plan

    if Path(source).suffix.lower() in (".yaml", ".yml"):
        if targets:
            raise ConfigurationError(f"{source} names its tasks already: leave --targets out, or edit the file")
        return plan(spec=Spec.from_yaml(source).override(changes))
    if not targets:
        raise ConfigurationError("name the columns to predict: --targets a,b")
    tasks, inferred = _divide(targets)
    found = plan(source, tasks=tasks, targets=inferred, options=changes)
    # People expect the order they typed.
    order = {task.name: task for task in found.spec.parsed_tasks()}
    names = [target if target in order else target.rpartition(":")[0] for target in targets]
    return replace(found, spec=found.spec.with_tasks(tuple(order[name] for name in names)))


def unfinished(directory: str) -> tuple[str, Path]:
    """Return the specification and the directory of an unfinished run, which is all that resuming it needs."""
    spec = Path(directory) / "spec.yaml"
    if not spec.is_file():
        raise ConfigurationError(f"nothing to resume at {directory}: give a run directory, or name it with --out")
    return str(spec), Path(directory)


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


def show(plan: Plan, specification: str | None = None) -> None:
    """Print the inferred columns, what nearly gives a target away, and the specification as YAML.

    Args:
        plan: of a run.
        specification: what is printed instead of that of the run alone.
    """
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
    print(f"\n{specification or plan.spec.to_yaml()}")


def write_spec(plan: Plan, path: Path) -> None:
    """Write the complete specification."""
    path.write_text(plan.spec.to_yaml(), encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


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


def unfinished_comparison(directory: str) -> tuple[str, Path]:
    """Return the specification and the directory of an unfinished comparison."""
    spec = Path(directory) / "compare.yaml"
    if not spec.is_file():
        raise ConfigurationError(f"nothing to resume at {directory}: give its directory, or name it with --out")
    return str(spec), Path(directory)


def resolve_comparison(
    source: str, targets: Sequence[str], changes: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[Plan, CompareSpec]:
    """Return the plan of every run and what is compared.

    Args:
        source: a table, a data set's name, or a specification, with a section ``compare`` or without.
        targets: columns to predict; empty where a specification names its tasks.
        changes: dotted options that replace those of the specification; those of ``compare`` too.
        asked: options of the section ``compare``, which win over those of the specification.
    """
    from accord.comparing import parse_compare
    from accord.training import plan
    from accord.training.sections import read_section

    own = {key.removeprefix("compare."): value for key, value in changes.items() if key.startswith("compare.")}
    rest = {key: value for key, value in changes.items() if not key.startswith("compare.")}
    if Path(source).suffix.lower() not in (".yaml", ".yml"):
        compare: dict[str, Any] = {}
        planned = resolve(source, targets, rest)
    elif targets:
        raise ConfigurationError(f"{source} names its tasks already: leave --targets out, or edit the file")
    else:
        spec, compare = read_section(source, "compare")
        planned = plan(_kept(source, "train"), spec=spec.override(rest), test=_kept(source, "test"))
    compare = {**compare, **own, **asked}
    if "methods" not in compare:
        raise ConfigurationError("name the methods to compare: --methods cagrad,mmoe (see accord methods)")
    return planned, parse_compare(compare)


def _kept(source: str, part: str) -> str | None:
    """Return where a comparison keeps a table that it was given in memory, if it does."""
    path = Path(source).with_name(f"{part}.parquet")
    return str(path) if Path(source).name == "compare.yaml" and path.is_file() else None


def show_comparison(plan: Plan, compare: CompareSpec) -> None:
    """Print how many runs of whom there would be, and the specification as YAML."""
    from accord.comparing import Study
    from accord.training.sections import section_yaml

    study = Study.of(Path(), plan.spec, compare)
    each = compare.trials + compare.seeds
    print(f"{len(study.entrants)} entrants: {', '.join(entrant.name for entrant in study.entrants)}")
    print(f"{each} runs of each ({compare.trials} to tune, {compare.seeds} to test), {each * len(study.entrants)} runs")
    print(f"\n{section_yaml(plan.spec, 'compare', compare)}")


def execute_comparison(
    plan: Plan, compare: CompareSpec, out: Path, crew: Crew, *, resume: bool, progress: Bar | Lines
) -> int:
    """Compare, print the answer and where the report is; return the exit code."""
    from accord.comparing import begin, run_study
    from accord.reporting import comparison_text, write_comparison

    try:
        study = begin(plan, compare, out, resume=resume or crew.storage is not None)
        outcome = run_study(study, crew, progress=progress)
    finally:
        progress.close()
    if outcome.results is None:
        print(
            f"accord: interrupted; finished runs are in {out}. Go on with: accord compare {out} --resume",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"{comparison_text(outcome.results)}\n\nreport  {write_comparison(out)}")
    return 0


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
    """Write the report of ``run``; return where it is."""
    from accord.reporting import write_report

    return write_report(run, out)


def _write_csv(file: Any, columns: Mapping[str, Any]) -> None:
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
