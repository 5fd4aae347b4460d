"""Write docs/study.md and its pictures from the results, so that the page says what was measured and nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.methods import LEFT_OUT, PLAIN, PRIMARY, TUNED
from benchmarks.study.picture import dots
from benchmarks.study.problem import METRICS, PROBLEMS, About, Sizes
from benchmarks.study.results import Run
from benchmarks.study.summary import Row, Summary, summarise

SEEDS = 5
TEXT = Path(__file__).parent / "text.md"
READING = Path(__file__).parent / "reading.md"


def write(runs: Iterable[Run], docs: Path) -> None:
    """Write the page and the pictures under ``docs``."""
    every = list(runs)
    found: dict[str, tuple[About, Sizes, Summary]] = {}
    for name in PROBLEMS:
        module = importlib.import_module(f"benchmarks.study.data.{name}")
        summary = summarise(every, name, module.ABOUT.kind, module.SIZES, SEEDS)
        if summary is not None:
            found[name] = (module.ABOUT, module.SIZES, summary)
            (docs / "images" / f"study-{name}.svg").write_text(dots(summary.rows, module.ABOUT.title), "utf-8")
    (docs / "study.md").write_text("\n".join(page(found)) + "\n", "utf-8")


def page(found: dict[str, tuple[About, Sizes, Summary]]) -> Iterator[str]:
    """Yield the lines of the page."""
    before, after = TEXT.read_text("utf-8").split("<!-- answer -->\n")
    yield before.rstrip() + "\n"
    yield from answer({about.title: summary for about, _, summary in found.values()})
    yield READING.read_text("utf-8").rstrip() + "\n"
    yield after.strip() + "\n"
    yield from left_out([summary for _, _, summary in found.values()])
    for name, (about, sizes, summary) in found.items():
        yield from section(name, about, sizes, summary)


def answer(summaries: dict[str, Summary]) -> Iterator[str]:
    """Yield, per data set, who is better, worse and neither; then who is better nowhere."""
    for title, summary in summaries.items():
        count = len(summary.rows) - 1
        yield f"**{title}**, {count} methods against tuned plain weights:\n"
        yield f"- better: {_names(summary.named('better'))}"
        yield f"- no clear difference: {_names(summary.named('no clear difference'))}"
        yield f"- worse: {_names(summary.named('worse'))}"
        if summary.missing:
            yield f"- not measured yet: {_names(summary.missing)}"
        yield ""
    everybody = dict.fromkeys(row.name for summary in summaries.values() for row in summary.rows if row.name != TUNED)
    winners = {name for summary in summaries.values() for name in summary.named("better")}
    never = [name for name in everybody if name not in winners]
    yield f"**Better than tuned plain weights on no data set** ({len(never)} of {len(everybody)}): {_names(never)}\n"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" if name != PLAIN else name for name in sorted(names)) + "." if names else "none."


def left_out(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield who did not take part, and why."""
    reasons = LEFT_OUT | {name: f"failed: {why}" for summary in summaries for name, why in summary.failures.items()}
    yield "## Left out\n"
    for name, why in reasons.items():
        yield f"- `{name}` {why}."
    yield f"- {_names(PRIMARY)[:-1]} took part, but put the first task first: the mean is not what they promise.\n"


def section(name: str, about: About, sizes: Sizes, summary: Summary) -> Iterator[str]:
    """Yield the section of one data set."""
    metric = METRICS[about.kind]
    better = "higher" if metric.higher_is_better else "lower"
    yield f"## {about.title}\n"
    yield f"{about.rows} {about.model}\n"
    yield (
        f"{sizes.train:,} training, {sizes.validation:,} validation and {sizes.test:,} test rows; "
        f"{sizes.steps} steps of {sizes.batch} rows. Metric: {metric.label} ({better} is better).\n"
    )
    alone = ", ".join(f"{task} {value:.4f}" for task, value in summary.single.items())
    yield f"Single-task models: {alone}.\n"
    yield f"![{about.title}: difference in delta-m to tuned plain weights](images/study-{name}.svg)\n"
    yield from table(summary, metric.label)


def table(summary: Summary, label: str) -> Iterator[str]:
    """Yield one line per method: the judgement and the metrics."""
    tasks = list(summary.single)
    head = ["method", "delta-m, %", "difference [95 %]", "p, Holm", "", "cost", "rate", "options", *tasks]
    yield f"Differences in percentage points of delta-m; the last {len(tasks)} columns are {label}, means over seeds.\n"
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in summary.rows:
        yield "| " + " | ".join([*_judgement(row), *(f"{row.metrics[task]:.4f}" for task in tasks)]) + " |"
    yield ""


def _judgement(row: Row) -> list[str]:
    gap = row.difference
    reference = row.name == TUNED
    return [
        row.name if row.name in (TUNED, PLAIN) else f"`{row.name}`",
        f"{row.delta_m.mean:+.2f}",
        "the reference" if reference else f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]",
        "" if reference else f"{row.p:.2g}",
        row.outcome if row.outcome != "no clear difference" else "",
        f"{row.cost:.1f}x",
        f"{row.rate:g}",
        _options(row.options),
    ]


def _options(options: dict[str, Any]) -> str:
    shown = {k: "/".join(f"{w:.2f}" for w in v) if isinstance(v, list) else v for k, v in options.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items()) or "defaults"
