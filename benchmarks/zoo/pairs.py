"""Methods for two models, on neighbouring fine-tunings of a zoo: each task is once the first and once the second."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.zoo.judge import Judge, State, mean
from benchmarks.zoo.lines import Line, count, row, spread
from benchmarks.zoo.methods import SCALES
from benchmarks.zoo.paired import interval

from accord import merging
from accord.merging import MergingMethod

AVERAGE = "average"
# How far NearSwap lets an entry go: half of the entries of two fine-tunings are 0.02 apart (pictures) or 0.002.
STEPS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Pair:
    """A method for two models, of a factor that is chosen; ``start`` is its base, where it takes one."""

    make: Callable[[float], MergingMethod]
    start: Literal["base", "first", "nothing"] = "base"
    factors: Sequence[float] = ()

    def __call__(self, factor: float, base: State, two: Sequence[State]) -> State:
        """Return the merge."""
        start = {"base": base, "first": two[0], "nothing": None}[self.start]
        return self.make(factor)(start, two[1:] if self.start == "first" else two)


PAIRS = {
    AVERAGE: Pair(lambda _: merging.Linear()),
    "task arithmetic": Pair(lambda scale: merging.TaskArithmetic(scale=scale), factors=SCALES),
    "SLERP": Pair(lambda _: merging.SLERP(), "nothing"),
    "NuSLERP": Pair(lambda _: merging.NuSLERP()),
    "NuSLERP by row": Pair(lambda _: merging.NuSLERP(by="row")),
    "NearSwap": Pair(merging.NearSwap, "first", STEPS),
    "Arcee Fusion": Pair(lambda _: merging.ArceeFusion(), "first"),
}


def judge_pairs(judge: Judge, done: Container[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield a record per method: the test accuracies on both tasks of every pair, merged half and half.

    Where a method has a factor, that of a pair is the best on its validation rows.
    """
    places = [(place, (place + 1) % len(judge.tasks)) for place in range(len(judge.tasks))]
    for name, pair in PAIRS.items():
        if (method := f"pairs: {name}") not in done:
            yield {"method": method, "pairs": [_judged(judge, two, pair) for two in places]}


def _judged(judge: Judge, places: tuple[int, int], pair: Pair) -> dict[str, Any]:
    tasks, two = [judge.tasks[place] for place in places], [judge.experts[place] for place in places]

    def scores(factor: float, part: str = "test") -> dict[str, float]:
        state = pair(factor, judge.base, two)
        return {task.name: judge.scores_of(task, state, part) for task in tasks}

    tried = {factor: mean(scores(factor, "validation")) for factor in pair.factors}
    factor = max(tried, key=tried.__getitem__, default=0.0)
    return {"test": scores(factor), **({"factor": factor} if tried else {})}


def table(lines: Sequence[Line], kind: str) -> str:
    """Return means over pairs: both tasks, the first, the second and the worse; and the difference to averaging."""
    found: dict[str, dict[int, Line]] = {}
    for line in lines:
        if line["zoo"] == kind and "pairs" in line:
            found.setdefault(line["method"].removeprefix("pairs: "), {})[line["seed"]] = line
    rows = [
        row(["method", "both tasks", f"minus {AVERAGE}", "first", "second", "worse of both"]),
        row(["---", *["---:"] * 5]),
    ]
    seen = {name: {seed: _means(line) for seed, line in runs.items()} for name, runs in found.items()}
    for name in sorted(seen, key=lambda name: -sum(own["both"] for own in seen[name].values()) / len(seen[name])):
        own, other = seen[name], seen[AVERAGE]
        less = "" if name == AVERAGE else interval([own[s]["both"] - other[s]["both"] for s in own if s in other])
        means = {key: spread([one[key] for one in own.values()]) for key in ("both", "first", "second", "worse")}
        rows.append(row([name, means.pop("both"), less, *means.values()]))
    size = len(next(iter(found[AVERAGE].values()))["pairs"])
    said = f"Per cent of right answers on test rows: means over {size} pairs, {count(len(found[AVERAGE]), 'seed')}."
    return "\n".join([*rows, "", said])


def _means(line: Line) -> Mapping[str, float]:
    pairs = [list(pair["test"].values()) for pair in line["pairs"]]
    kinds = {"both": lambda pair: sum(pair) / 2, "first": lambda pair: pair[0], "second": lambda pair: pair[1]}
    return {key: sum(map(of, pairs)) / len(pairs) for key, of in (kinds | {"worse": min}).items()}
