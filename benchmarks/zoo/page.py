"""What the zoos found, as tables between the marks in docs/zoo.md."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LINES, PAGE = HERE / "results.jsonl", HERE.parent.parent / "docs" / "zoo.md"
ENDS = ("base", "individual", "joint training")
NEGATION = "negation of "
Line = Mapping[str, Any]


def read(path: Path = LINES) -> list[Line]:
    """Return all lines, the last one of each zoo, seed and method."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return list({(line["zoo"], line["seed"], line["method"]): line for line in lines}.values())


def kinds(lines: Sequence[Line]) -> list[str]:
    """Return the zoos there are, in the order of their first lines."""
    return list(dict.fromkeys(line["zoo"] for line in lines))


def write(lines: Sequence[Line], page: Path = PAGE) -> None:
    """Put what was found between the marks of the page."""
    text = page.read_text("utf-8")
    for kind in kinds(lines):
        for what, made in PARTS.items():
            begin, end = marks(kind, what)
            if begin in text:
                before, rest = text.split(begin)
                text = f"{before}{begin}\n\n{made(lines, kind)}\n\n{end}{rest.split(end)[1]}"
    page.write_text(text, "utf-8")


def marks(kind: str, what: str) -> tuple[str, str]:
    """Return what stands before and after a table in the page."""
    return f"<!-- {kind} {what}: written by python -m benchmarks.zoo page -->", f"<!-- end of the {kind} {what} -->"


def table(lines: Sequence[Line], kind: str) -> str:
    """Return the methods of a zoo, best first, between the individual models and the base.

    Accuracies are means over the seeds, with a standard deviation for the mean over tasks. *Of individual* is the
    mean over tasks of the accuracy divided by that of the task's own fine-tuning.
    """
    found = _by_method([line for line in lines if line["zoo"] == kind and "default" in line])
    own = found["individual"]
    tasks = list(next(iter(own.values()))["default"])
    rows = [
        f"| method | sees | mean | of individual | with defaults | chosen | {' | '.join(tasks)} |",
        f"| --- | --- {'| ---: ' * 3}| --- {'| ---: ' * len(tasks)}|",
    ]
    for name in sorted(found, key=lambda name: -statistics.fmean(_means(found[name]))):
        runs = {seed: line for seed, line in found[name].items() if seed in own}
        best = {seed: judged(line) for seed, line in runs.items()}
        share = statistics.fmean(
            100 * value / own[seed]["default"][task] for seed, scores in best.items() for task, value in scores.items()
        )
        defaults = spread([statistics.fmean(line["default"].values()) for line in runs.values()], alone=True)
        plain = defaults if any("tuned" in line for line in runs.values()) else ""
        each = [f"{statistics.fmean(scores[task] for scores in best.values()):.1f}" for task in tasks]
        title = f"**{name}**" if name in ENDS else name
        rows.append(
            f"| {title} | {next(iter(runs.values()))['sees']} | {spread(_means(runs))} | {share:.1f} | {plain} "
            f"| {_chosen(list(runs.values()))} | {' | '.join(each)} |"
        )
    seeds = len(own)
    return "\n".join([*rows, "", f"Per cent of right answers on test rows, {_count(seeds, 'seed')}."])


def judged(line: Line) -> Mapping[str, float]:
    """Return the test accuracies of the tuned method, or of the defaults where nothing is chosen."""
    return line.get("tuned", line["default"])


def spread(values: Sequence[float], *, alone: bool = False) -> str:
    """Return the mean, with the standard deviation over seeds where there are several."""
    mean = f"{statistics.fmean(values):.1f}"
    return mean if alone or len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"


def negation(lines: Sequence[Line], kind: str) -> str:
    """Return, for each scale, the accuracy on the negated task and on the others: means over tasks and seeds."""
    curves = [line["curve"] for line in lines if line["zoo"] == kind and "curve" in line]
    rows = ["| scale | the task itself | the others |", "| ---: | ---: | ---: |"]
    for points in zip(*curves, strict=True):
        own, others = ([point[key] for point in points] for key in ("own", "others"))
        rows.append(f"| {points[0]['scale']:g} | {spread(own)} | {spread(others)} |")
    return "\n".join([*rows, "", f"Means and standard deviations over {len(curves)} pairs of task and seed."])


def front(lines: Sequence[Line], kind: str) -> str:
    """Return test accuracies along the front between two fine-tunings: means over seeds."""
    found = [line["front"] for line in lines if line["zoo"] == kind and line["method"] == "front of 2"]
    tasks = list(found[0][0]["test"])
    rows = [f"| share of {tasks[0]} | {' | '.join(tasks)} | worse of both |", f"| ---: {'| ---: ' * 3}|"]
    for points in zip(*found, strict=True):
        each = [spread([point["test"][task] for point in points]) for task in tasks]
        worse = spread([min(point["test"].values()) for point in points])
        rows.append(f"| {points[0]['preference'][0]:g} | {' | '.join(each)} | {worse} |")
    return "\n".join([*rows, "", f"Per cent of right answers on test rows, {_count(len(found), 'seed')}."])


def _by_method(lines: Sequence[Line]) -> dict[str, dict[int, Line]]:
    found: dict[str, dict[int, Line]] = {}
    for line in lines:
        found.setdefault(line["method"], {})[line["seed"]] = line
    return found


def _means(runs: Mapping[int, Line]) -> list[float]:
    return [statistics.fmean(judged(line).values()) for line in runs.values()]


def _chosen(runs: Sequence[Line]) -> str:
    """Return what was chosen in each seed, options apart: ``scale 0.3 0.3 0.2``."""
    made: dict[str, list[str]] = {}
    for line in runs:
        for key, value in line.get("chosen", {}).items():
            made.setdefault(key, []).append(f"{value:.3g}")
    return "; ".join(f"{key} {' '.join(dict.fromkeys(values))}" for key, values in made.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


PARTS = {"table": table, "negation": negation, "front": front}
