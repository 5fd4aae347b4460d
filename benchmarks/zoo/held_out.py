"""Merges of all tasks but two, judged on these as well: what pruning layers costs on merged tasks and gives on others.

python -m benchmarks.zoo.held_out pictures --seeds 0 1 2     a line per seed, pair and method, then means over pairs
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from benchmarks.zoo.__main__ import KINDS, trained
from benchmarks.zoo.judge import Judge, mean
from benchmarks.zoo.paired import interval

from accord.merging import TIES, LayerPruning, MergingMethod, TaskArithmetic

INNER: dict[str, Callable[[float], MergingMethod]] = {
    "task arithmetic": lambda scale: TaskArithmetic(scale=scale),
    "TIES": lambda scale: TIES(density=0.5, scale=scale),
}
SCORES = ("distinct", "relative")
Make = Callable[[float], MergingMethod | LayerPruning]


def methods() -> dict[str, Make]:
    """Return each method alone, and after either score has dropped half of the layers."""
    found: dict[str, Make] = {}
    for name, inner in INNER.items():
        found[name] = inner
        for score in SCORES:
            found[f"{name}, {score}"] = lambda scale, inner=inner, score=score: LayerPruning(inner(scale), score=score)
    return found


def judged(kind: str, seed: int, work: Path) -> Iterator[tuple[str, float, float]]:
    """Yield, for every pair of tasks and method, its name and mean test accuracies on merged and on other tasks."""
    own, tasks = KINDS[kind], KINDS[kind].load(seed)
    zoo = trained(kind, tasks, seed, work)
    for first in range(0, len(tasks), 2):
        out = tasks[first : first + 2]
        inside, outside = (
            Judge(zoo, some, own.BLOCKS, own.STEPS, own.SIZE) for some in ([t for t in tasks if t not in out], out)
        )
        yield "base", mean(inside.scores(inside.base)), mean(outside.scores(inside.base))
        for name, make in methods().items():
            line = inside.line(make)
            state = line(inside.best_scale(line))
            yield name, mean(inside.scores(state)), mean(outside.scores(state))


def main() -> None:
    """Parse the command line, judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", choices=sorted(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("runs/zoo"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for seed in chosen.seeds:
        for name, merged, other in judged(chosen.zoo, seed, chosen.work):
            print(f"seed {seed}: {name}: {merged:.2f} merged, {other:.2f} others", flush=True)
            found.setdefault(name, {}).setdefault(seed, []).append((merged, other))
    means = {name: np.array([np.mean(rows, 0) for rows in seeds.values()]) for name, seeds in found.items()}
    for name, rows in means.items():
        alone = means[name.partition(",")[0]]
        gaps = [] if rows is alone else [interval(list(column)) for column in (rows - alone).T]
        print(f"{name}: {rows[:, 0].mean():.1f} merged, {rows[:, 1].mean():.1f} others", *gaps)


if __name__ == "__main__":
    main()
