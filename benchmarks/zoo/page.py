"""What the zoos found, as tables between the marks in docs/zoo.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.zoo.fronts import between_three, between_two
from benchmarks.zoo.lines import LINES, Line, judged, kinds, row, spread
from benchmarks.zoo.methods import REFERENCE
from benchmarks.zoo.paired import ENDS, by_method, gaps, interval, verdict
from benchmarks.zoo.pairs import table as pairs

PAGE = LINES.parents[2] / "docs" / "zoo.md"


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
    mean over tasks of the accuracy divided by that of the task's own fine-tuning; differences to tuned task arithmetic
    are paired by seed, with 95 % t intervals where there are enough seeds.
    """
    found = by_method(lines, kind)
    own = found["individual"]
    tasks = list(next(iter(own.values()))["default"])
    heads = [
        "method",
        "sees",
        "seeds",
        "mean",
        f"minus {REFERENCE}",
        "of individual",
        "with defaults",
        "chosen",
        *tasks,
    ]
    rows = [row(heads), row(["---", "---", *["---:"] * 5, "---", *["---:"] * len(tasks)])]
    for name in sorted(found, key=lambda name: -_rank(found, name)):
        runs = {seed: line for seed, line in found[name].items() if seed in own}
        best = {seed: judged(line) for seed, line in runs.items()}
        share = statistics.fmean(
            100 * value / own[seed]["default"][task] for seed, scores in best.items() for task, value in scores.items()
        )
        defaults = spread([statistics.fmean(line["default"].values()) for line in runs.values()], alone=True)
        plain = defaults if any("tuned" in line for line in runs.values()) else ""
        each = [f"{statistics.fmean(scores[task] for scores in best.values()):.1f}" for task in tasks]
        less = "" if name == REFERENCE else interval(gaps(found, name, REFERENCE))
        title = f"**{name}**" if name in ENDS else name
        means = [spread(_means(runs)), less, f"{share:.1f}", plain]
        rows.append(
            row([title, next(iter(runs.values()))["sees"], str(len(runs)), *means, _chosen(list(runs.values())), *each])
        )
    return "\n".join([*rows, "", "Per cent of right answers on test rows: means and standard deviations over seeds."])


def negation(lines: Sequence[Line], kind: str) -> str:
    """Return, for each scale, the accuracy on the negated task and on the others: means over tasks and seeds."""
    curves = [line["curve"] for line in lines if line["zoo"] == kind and "curve" in line]
    rows = ["| scale | the task itself | the others |", "| ---: | ---: | ---: |"]
    for points in zip(*curves, strict=True):
        own, others = ([point[key] for point in points] for key in ("own", "others"))
        rows.append(f"| {points[0]['scale']:g} | {spread(own)} | {spread(others)} |")
    return "\n".join([*rows, "", f"Means and standard deviations over {len(curves)} pairs of task and seed."])


def forgetting(lines: Sequence[Line], kind: str) -> str:
    """Return, for each amount that a task was to lose, what it and the others lost: means over tasks and seeds."""
    found = [line["forgotten"] for line in lines if line["zoo"] == kind and "forgotten" in line]
    rows = [
        row(["asked for", "scale", "the task itself loses", "the others lose", "the one of them that loses most"]),
        f"|{' ---: |' * 5}",
    ]
    for points in zip(*found, strict=True):
        means = [spread([point[key] for point in points]) for key in ("own", "others", "worst")]
        scale = statistics.fmean(point["scale"] for point in points)
        rows.append(row([f"{points[0]['amount']:g}", f"{scale:.2f}", *means]))
    said = f"Points of accuracy on test rows: means and standard deviations over {len(found)} pairs of task and seed."
    return "\n".join([*rows, "", said])


def _rank(found: Mapping[str, Mapping[int, Line]], name: str) -> float:
    """Return what methods are sorted by, fair to those that were judged on fewer seeds."""
    return statistics.fmean(gaps(found, name, REFERENCE) or _means(found[name]))


def _means(runs: Mapping[int, Line]) -> list[float]:
    return [statistics.fmean(judged(line).values()) for line in runs.values()]


def _chosen(runs: Sequence[Line]) -> str:
    """Return what was chosen in any seed, options apart: ``scale 0.3 0.2`` where two seeds of three chose 0.3."""
    made: dict[str, list[str]] = {}
    for line in runs:
        for key, value in line.get("chosen", {}).items():
            made.setdefault(key, []).append(f"{value:.3g}")
    return "; ".join(f"{key} {' '.join(dict.fromkeys(values))}" for key, values in made.items())


PARTS = {
    "table": table,
    "verdict": verdict,
    "forgetting": forgetting,
    "negation": negation,
    "front": between_two,
    "front of three": between_three,
    "pairs": pairs,
}
