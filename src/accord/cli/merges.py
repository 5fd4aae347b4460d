"""What ``accord merge`` does: plans are shown, checked against the disk, and run one after the other."""

from __future__ import annotations

import faulthandler
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.output import format_seconds, print_json
from accord.cli.transfer import make_transfer
from accord.errors import ConfigurationError, DataError, RunError
from accord.merging import Job, Recipe, RecipePlan, begin_job
from accord.merging.estimate import estimate
from accord.merging.manifest import JOURNAL
from accord.merging.recipe.adapter_plan import AdapterPlan

if TYPE_CHECKING:
    from accord.steering.merged import Sweep

SHOWN_METHODS = 4
Plan = RecipePlan | AdapterPlan


def begin(recipe: Path, out: Path, **options: Any) -> Job:
    """Read the recipe; see :func:`accord.merging.begin_job`."""
    return begin_job(recipe, out, **options)


def show(job: Job, *, as_json: bool) -> None:
    """Print what would be done, and what is in its way; steps whose inputs are still to be made are only named."""
    facts = [_foretold(job, recipe) for recipe in job.recipes]
    if as_json:
        print_json(facts[0] if len(facts) == 1 else {"steps": facts})
    else:
        print("\n\n".join(_text(each) for each in facts))
    refuse(obstacle for each in facts for obstacle in each.get("obstacles", ()))


def refuse(obstacles: Iterable[str]) -> None:
    """Raise the first of what is in a merge's way; a dry run ends as the merge would."""
    for obstacle in obstacles:
        raise RunError(obstacle)


def _foretold(job: Job, recipe: Recipe) -> dict[str, Any]:
    if job.finished(recipe):
        return {"out": str(job.folder_of(recipe)), "what": f"{recipe.method}, which is there already"}
    if not job.ready(recipe):
        return _later(job, recipe)
    plan = job.plan(recipe)
    return {**_facts(plan), "obstacles": _obstacles(plan), "begun": (plan.out / JOURNAL).is_file()}


def _obstacles(plan: Plan) -> list[str]:
    """Return what would end a merge before it began, as its folder and the disk are now."""
    short = _shortage(plan.out, plan.merge.bytes_out) if isinstance(plan, RecipePlan) else None
    return [reason for reason in (plan.obstacle(), short) if reason is not None]


def execute(job: Job, *, report: bool, as_json: bool) -> None:
    """Run all steps and print the folder of the result."""
    done = []
    for recipe in job.recipes:
        if job.finished(recipe):
            _say(f"{job.folder_of(recipe)} is there already")
            continue
        plan = job.plan(recipe)
        facts = _facts(plan)
        _say(_text(facts))
        started = time.monotonic()
        _run(plan)
        if report and recipe is job.recipes[-1]:
            from accord.reporting import write_merge

            _say("looking at what was merged")
            with make_transfer(plan.out.name) as progress:
                facts["report"] = str(write_merge(plan, progress=progress))
        done.append({**facts, "seconds": time.monotonic() - started})
        _say(f"merged in {format_seconds(time.monotonic() - started)}")
    if as_json:
        print_json(done[0] if len(done) == 1 else {"steps": done})
    else:
        print(job.out)


def check_without_front(*, points: bool) -> None:
    """Refuse options that are of a front and not of one merge.

    Raises:
        ConfigurationError: names the option.
    """
    if points:
        raise ConfigurationError("--points is of a front: give --front, the command that measures a merge, too")


def check_of_one(*, report: bool, shards: bool) -> None:
    """Refuse options that are of one merge and not of a front.

    Raises:
        ConfigurationError: names the option.
    """
    if report:
        raise ConfigurationError("--report is of one merge; a front has a page of its own, which --front writes")
    if shards:
        raise ConfigurationError("--shard-size is of one merge; every merge of --front is one file")


def sweep(recipe: Path, out: Path, command: str, *, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Merge at many preferences, measure each by a command, and write the front and its page; or say what would be."""
    from accord.reporting import write_front
    from accord.steering import merge_front
    from accord.steering.merged import Sweep

    words = _words(command)
    facts = _swept(Sweep.read(recipe, out, **options), words)
    if dry_run:
        print_json(facts) if as_json else print(_text(facts))
    refuse(facts["obstacles"])
    if dry_run:
        return
    _say(_text(facts))
    found = merge_front(recipe, out, lambda folder: _measured(words, folder), progress=_say, **options)
    _say(str(found))
    page = write_front(out)
    print_json({"out": str(out), "page": str(page), "points": found.results["points"]}) if as_json else print(page)


def _words(command: str) -> list[str]:
    """Return the words of a command that measures.

    Raises:
        ConfigurationError: it has none, or a quotation without an end.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"--front {command!r} is no command: {error}") from error
    if not words:
        raise ConfigurationError(f"--front {command!r} is no command: name the one that measures a merge")
    return words


def _swept(planned: Sweep, words: list[str]) -> dict[str, Any]:
    facts = _facts(planned.plan(0))
    points = len(planned.preferences)
    facts |= {"out": str(planned.job.out), "bytes_out": points * facts["bytes_out"], "points": points}
    facts |= {"files": points * facts["files"], "bytes_in": points * facts["bytes_in"]}
    if facts["seconds_about"] is not None:
        facts["seconds_about"] *= points
    short = _shortage(planned.job.out, facts["bytes_out"])
    facts["obstacles"] = [] if short is None else [short]
    return facts | {"measure": shlex.join(_call(words, planned.folder(0))), "preferences": planned.preferences}


def _measured(words: list[str], folder: Path) -> Any:
    """Return what an evaluation says of a merge: JSON on its last line."""
    called = _call(words, folder)
    try:
        done = subprocess.run(called, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise ConfigurationError(f"--front: could not run {called[0]}: {error}") from error
    if done.returncode:
        raise DataError(f"the evaluation of {folder} failed with exit code {done.returncode}: {shlex.join(called)}")
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        return json.loads(last)
    except ValueError as error:
        raise DataError(f"the last line that the evaluation of {folder} printed is no JSON: {last!r}") from error


def _call(words: list[str], folder: Path) -> list[str]:
    called = [word.replace("{}", str(folder)) for word in words]
    return called if any("{}" in word for word in words) else [*called, str(folder)]


def _run(plan: Plan) -> None:
    if isinstance(plan, AdapterPlan):
        with make_transfer(plan.out.name) as progress:
            merged = plan.run(progress)
        lost = f", the rank leaves out {merged.error:.2%} of the merged change (norm)" if merged.error else ", exactly"
        _say(f"an adapter of rank {merged.rank}{lost}")
        return
    if (short := _shortage(plan.out, plan.merge.bytes_out)) is not None:
        raise RunError(short)
    # A mapped file that is cut short while it is read ends the process: then with a word on what it was doing.
    if not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__ or 2)
    try:
        with make_transfer(plan.out.name) as progress:
            plan.run(progress)
    except KeyboardInterrupt:
        _say("what was finished is kept; the same command goes on from there")
        raise


def _shortage(out: Path, size: int) -> str | None:
    there = sum(file.stat().st_size for file in out.rglob("*.safetensors")) if out.is_dir() else 0
    free, needed = _free(out), size - there
    if free is None or free >= needed:
        return None
    return f"{out} needs {_bytes(needed)} of disk, and {_bytes(free)} are free"


def _facts(plan: Plan) -> dict[str, Any]:
    if isinstance(plan, AdapterPlan):
        return {
            "out": str(plan.out),
            "what": f"{plan.recipe.method} of {len(plan.adapters)} adapters into one",
            "models": [adapter.label for adapter in plan.adapters],
            "methods": {repr(plan.method): len({m for adapter in plan.adapters for m in adapter.modules})},
            "rank": plan.rank,
            "memory": plan.memory,
            "notes": list(plan.notes),
        }
    merge = plan.merge
    return {
        "out": str(plan.out),
        "what": merge.title,
        "models": [model.label for model in plan.models],
        "methods": dict(plan.methods),
        "tensors": len(merge.entries),
        "dtypes": sorted({str(entry.dtype).removeprefix("torch.") for entry in merge.entries}),
        "files": len(merge.shards),
        "bytes_in": merge.bytes_in,
        "bytes_out": merge.bytes_out,
        "disk_free": _free(plan.out),
        "memory": merge.memory,
        "threads": merge.threads,
        "seconds_about": estimate(merge.entries, merge.threads),
        "notes": list(plan.notes),
    }


def _later(job: Job, recipe: Recipe) -> dict[str, Any]:
    used = [r.path for r in recipe.references() if r.path in job.made()]
    what = f"{recipe.method}, planned when {', '.join(used)} is made"
    return {"out": str(job.folder_of(recipe)), "what": what, "models": [str(r) for r in recipe.references()]}


def _text(facts: dict[str, Any]) -> str:
    lines = [facts["what"], f"  to       {facts['out']}"]
    methods = list(facts.get("methods", {}).items())
    lines += [f"  method   {_rounded(name)}  ({_counted(count, 'tensor')})" for name, count in methods[:SHOWN_METHODS]]
    if len(methods) > SHOWN_METHODS:
        rest = sum(count for _, count in methods[SHOWN_METHODS:])
        lines.append(f"           and {len(methods) - SHOWN_METHODS} more settings of it  ({_counted(rest, 'tensor')})")
    if "rank" in facts:
        lines.append(f"  rank     {facts['rank']} at most")
        lines.append(f"  memory   at most {_bytes(facts['memory'])} besides the page cache")
    if "bytes_in" in facts:
        threads, files = _counted(facts["threads"], "thread"), _counted(facts["files"], "file")
        free = f", {_bytes(facts['disk_free'])} free" if facts["disk_free"] is not None else ""
        lines += [
            f"  reads    {_bytes(facts['bytes_in'])} of {_counted(len(facts['models']), 'model')}",
            f"  writes   {_bytes(facts['bytes_out'])} in {files}, {', '.join(facts['dtypes'])}{free}",
            f"  memory   at most {_bytes(facts['memory'])} besides the page cache, {threads}",
            f"  time     {_about(facts['seconds_about'])}",
        ]
    if "points" in facts:
        lines.append(f"  front    {facts['points']} merges, the first measured by: {facts['measure']}")
    lines += [f"  note     {note}" for note in facts.get("notes", ())]
    if facts.get("begun") and not facts["obstacles"]:
        lines.append("  note     a run of this merge that was killed is there, and goes on")
    return "\n".join([*lines, *(f"  but      {obstacle}" for obstacle in facts.get("obstacles", ()))])


def _rounded(name: str) -> str:
    """Return a method's settings with four digits: values between two of a gradient have many."""
    return re.sub(r"\d+\.\d{5,}", lambda found: f"{float(found[0]):.4g}", name)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "not foretold: the method decomposes matrices"
    return f"about {format_seconds(max(seconds, 1.0))}, if reading is no slower than the arithmetic"


def _free(out: Path) -> int | None:
    place = next((folder for folder in (out, *out.absolute().parents) if folder.is_dir()), None)
    return shutil.disk_usage(place).free if place is not None else None


def _bytes(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} B"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
