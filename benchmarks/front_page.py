"""What ``benchmarks.front_study`` found, as a section of docs/fronts.md and a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.pictures import BLUE, GREY, ORANGE, TEXT, svg

from accord.reporting.numbers import mean_interval

TITLES = {"census": "Census-Income", "multimnist": "MultiMNIST"}
NAMES = {
    "balanced": "one balanced run",
    "grid": "grid of single runs",
    "cosmos": "COSMOS",
    "phn": "PHN",
    "pa_mal": "PaMaL",
    "pa_lo_ra": "PaLoRA",
}
BEGIN, END = "<!-- front study: written by benchmarks/front_study.py -->", "<!-- end of the front study -->"
LEFT, RIGHT, LINE = 170, 600, 26
Line = Mapping[str, Any]


def tested(lines: Sequence[Line], problem: str, method: str) -> dict[int, Line]:
    """Return the test runs of a method by seed."""
    chosen = [x for x in lines if (x["problem"], x["method"], x["stage"]) == (problem, method, "test")]
    return {line["seed"]: line for line in chosen}


def interval(values: Sequence[float], places: int = 1, *, sign: bool = False) -> str:
    """Return the mean over seeds with its 95 % t interval."""
    mean, half = mean_interval(values)
    mean, plus = (0.0 if abs(mean) < 0.5 * 10**-places else mean), "+" if sign else ""
    if not math.isfinite(half):
        return f"{mean:{plus}.{places}f}"
    return f"{mean:{plus}.{places}f} [{mean - half:{plus}.{places}f}, {mean + half:{plus}.{places}f}]"


def table(lines: Sequence[Line], problem: str) -> list[str]:
    """Return the rows of a problem's table."""
    grid = tested(lines, problem, "grid")
    rows = ["| | hypervolume, % | minus grid | processor seconds | options |", "| --- | ---: | ---: | ---: | --- |"]
    for method, name in NAMES.items():
        own = tested(lines, problem, method)
        if not own:
            continue
        common = sorted(own.keys() & grid.keys())
        gaps = [own[seed]["hypervolume"] - grid[seed]["hypervolume"] for seed in common]
        against = "" if method == "grid" else interval(gaps, sign=True)
        options = ", ".join(f"{key} {value:g}" for key, value in next(iter(own.values()))["options"].items())
        volume = interval([line["hypervolume"] for line in own.values()])
        seconds, _ = mean_interval([line["cpu_seconds"] for line in own.values()])
        rows.append(f"| {name} | {volume} | {against} | {seconds:.1f} | {options} |")
    return rows


def outcomes(lines: Sequence[Line], problem: str, reference: str) -> dict[str, list[str]]:
    """Return who is better, worse and neither than a reference, by the intervals of the differences over seeds."""
    base = tested(lines, problem, reference)
    found: dict[str, list[str]] = {"better": [], "worse": [], "no clear difference": []}
    for method, name in NAMES.items():
        own = tested(lines, problem, method)
        common = sorted(own.keys() & base.keys())
        if method == reference or len(common) < 2:
            continue
        mean, half = mean_interval([own[seed]["hypervolume"] - base[seed]["hypervolume"] for seed in common])
        found["better" if mean - half > 0 else "worse" if mean + half < 0 else "no clear difference"].append(name)
    return found


def sentence(lines: Sequence[Line], problem: str) -> str:
    """Return who is better and worse than the grid of single runs, and than one balanced run."""
    said = []
    for reference in ("grid", "balanced"):
        found = outcomes(lines, problem, reference)
        parts = [f"{outcome}: {', '.join(names)}" for outcome, names in found.items() if names]
        said.append(f"Against {'the ' * (reference == 'grid')}{NAMES[reference]}: {'; '.join(parts)}.")
    return " ".join(said)


def section(lines: Sequence[Line], passes: Mapping[str, int]) -> str:
    """Return the section between its markers."""
    shown = [problem for problem in TITLES if tested(lines, problem, "grid")]
    seeds = min(len(tested(lines, p, m)) for p in shown for m in NAMES if tested(lines, p, m))
    words = [BEGIN, ""]
    for problem in shown:
        words += [
            f"**{TITLES[problem]}**, {passes[problem]} passes:",
            "",
            *table(lines, problem),
            "",
            sentence(lines, problem),
            "",
        ]
    words += [
        f"Means and 95 % t intervals over {seeds} seeds. ![Hypervolume of each method](images/front-study.svg)",
        "",
        END,
    ]
    return "\n".join(words)


def picture(lines: Sequence[Line]) -> str:
    """Return the hypervolume of every method with its interval and every seed, one panel per problem."""
    marks: list[str] = []
    y = 24
    for problem, title in TITLES.items():
        own = {m: [x["hypervolume"] for x in tested(lines, problem, m).values()] for m in NAMES}
        own = {m: values for m, values in own.items() if values}
        if not own or "grid" not in own:
            continue
        low, high = min(map(min, own.values())), max(map(max, own.values()))
        pad = 0.08 * (high - low) or 1.0
        marks.append(f'<text x="{LEFT}" y="{y}" fill="{TEXT}">{title}: hypervolume on test rows, %</text>')
        y += LINE
        for method, values in own.items():
            marks += _row(NAMES[method], values, y, (low - pad, high + pad), method)
            y += LINE
        for value in (low, high):
            x = _across(value, (low - pad, high + pad))
            marks.append(
                f'<text x="{x:.1f}" y="{y}" fill="{TEXT}" text-anchor="middle" font-size="12">{value:.1f}</text>'
            )
        y += 2 * LINE
    return svg(RIGHT + 40, y - LINE, marks)


def _across(value: float, limits: tuple[float, float]) -> float:
    return LEFT + (RIGHT - LEFT) * (value - limits[0]) / (limits[1] - limits[0])


def _row(name: str, values: Sequence[float], y: float, limits: tuple[float, float], method: str) -> list[str]:
    mean, half = mean_interval(values)
    half = half if math.isfinite(half) else 0.0
    colour = {"grid": ORANGE, "balanced": GREY}.get(method, BLUE)
    ends = [min(max(_across(v, limits), LEFT), RIGHT) for v in (mean - half, mean + half)]
    return [
        f'<text x="{LEFT - 10}" y="{y + 4}" fill="{TEXT}" text-anchor="end" font-size="13">{name}</text>',
        f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
        *(f'<circle cx="{_across(v, limits):.1f}" cy="{y}" r="2.5" fill="none" stroke="{colour}"/>' for v in values),
        f'<circle cx="{_across(mean, limits):.1f}" cy="{y}" r="5" fill="{colour}"/>',
    ]


def write(lines: Sequence[Line], passes: Mapping[str, int], docs: Path) -> None:
    """Write the picture, and the section into the page between its markers."""
    (docs / "images" / "front-study.svg").write_text(picture(lines), encoding="utf-8")
    page = docs / "fronts.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + section(lines, passes) + after, encoding="utf-8")
