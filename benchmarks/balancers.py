"""Time what balancers add to a step: from the Gramian to the weights, and from the losses to the weights.

    python benchmarks/balancers.py [--tasks 2,8,40,128] [--methods upgrad,mgda] [--kinds independent,common,dependent]
                                   [--dimensions 4T,T,T/2,16] [--single] [--repeats 20] [--peer]
                                   [--output FILE] [--tables FILE]

Prints one JSON line per method, kind of gradients and number of tasks:
``{"method", "gradients", "dimensions", "tasks", "median_ms", "peer_ms"}``. Gradients are ``independent`` (normal, in
4 T dimensions: about half of all pairs conflict), ``common`` (the same with a part that all share: few pairs conflict),
``dependent`` (normal, in T/2 dimensions) or ``opposed`` (every other one nearly the opposite of the one before);
``--dimensions`` puts all of them into spaces of that size. ``--single`` takes Gramians from single precision, whose
rounding hides that gradients are dependent. Methods that need the Jacobian or nothing but losses are timed on those,
with P = 100,000 numbers per gradient for the former. ``--peer`` times the method of TorchJD 0.18 with the same name
in alternation, where it is installed and has one. CPU time, one thread. ``--tables`` turns an output into the
documentation's table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import accord
from accord.balancer import Aggregator, GramianAggregator, Weighting
from accord.errors import AccordError
from accord.registry import registered

WIDE = 100_000
SIZES: dict[str, Callable[[int], int]] = {
    "4T": lambda tasks: 4 * tasks,
    "T": lambda tasks: tasks,
    "T/2": lambda tasks: tasks // 2,
    "16": lambda _: 16,
}


def gradients(kind: str, tasks: int, dimensions: int) -> Tensor:
    """Return a Jacobian ``[T, P]``, float64."""
    rng = np.random.default_rng(tasks)
    rows = rng.standard_normal((tasks, dimensions))
    if kind == "opposed":
        rows[1::2] = 0.1 * rows[1::2] - rows[: 2 * (tasks // 2) : 2]
    return torch.from_numpy(rows + rng.standard_normal(rows.shape[1]) if kind == "common" else rows)


def gramian_of(kind: str, tasks: int, options: Namespace, dimensions: int) -> Tensor:
    """Return the Gramian ``[T, T]`` of such gradients, float64."""
    rows = gradients(kind, tasks, dimensions)
    return (rows.float() @ rows.float().T).double() if options.single else rows @ rows.T


def sizes(kind: str, tasks: int, options: Namespace) -> list[int]:
    """Return the dimensions to put the gradients into."""
    names = options.dimensions or ("T/2" if kind == "dependent" else "4T")
    return [max(1, SIZES[name](tasks)) for name in names.split(",")]


def call(balancer: Any, kind: str, gramian: Tensor) -> Callable[[], object] | None:
    """Return what one step asks of ``balancer``; None where this kind of gradients means nothing to it."""
    tasks = len(gramian)
    losses = torch.rand(tasks, generator=torch.Generator().manual_seed(tasks)) + 0.5
    if isinstance(balancer, GramianAggregator):
        return lambda: balancer.weights(gramian, losses=losses)
    if isinstance(balancer, Weighting) and balancer.method.needs == "gramian":
        return lambda: balancer(losses, gramian=gramian)
    if kind != "independent":
        return None
    if isinstance(balancer, Weighting):
        return lambda: balancer(losses)
    wide = torch.randn(tasks, WIDE, generator=torch.Generator().manual_seed(0))
    return lambda: balancer(wide, losses=losses)


def peer(name: str, gramian: Tensor) -> Callable[[], object] | None:
    """Return the same of TorchJD, if it has a weighting of that name."""
    if find_spec("torchjd") is None:
        return None
    room = importlib.import_module("torchjd.aggregation")
    wanted = name.replace("_", "") + "weighting"
    found = next((getattr(room, public) for public in dir(room) if public.lower() == wanted), None)
    if found is None:
        return None
    weighting = found(n_byzantine=1) if wanted == "krumweighting" else found()
    return lambda: weighting(gramian)


def medians(steps: list[Callable[[], object] | None], repeats: int) -> list[float | None]:
    """Return the median CPU milliseconds of each step; they take turns."""
    taken: list[list[float]] = [[] for _ in steps]
    for turn in range(repeats + 2):
        for step, times in zip(steps, taken, strict=True):
            if step is None:
                continue
            start = time.process_time()
            step()
            if turn >= 2:
                times.append(1e3 * (time.process_time() - start))
    return [round(statistics.median(times), 4) if times else None for times in taken]


def measure(options: Namespace) -> Iterator[dict[str, Any]]:
    chosen = options.methods.split(",") if options.methods else None
    for name, cls in sorted(registered("aggregation", "weighting").items()):
        if chosen and name not in chosen:
            continue
        for tasks in map(int, options.tasks.split(",")):
            for kind in options.kinds.split(","):
                for dimensions in sizes(kind, tasks, options):
                    row = {"method": name, "gradients": kind, "dimensions": dimensions, "tasks": tasks}
                    gramian = gramian_of(kind, tasks, options, dimensions)
                    try:
                        balancer = cls()
                        known = isinstance(balancer, Aggregator | Weighting)
                        step = call(balancer, kind, gramian) if known else None
                        if step is None:
                            continue
                        both = [step, peer(name, gramian) if options.peer else None]
                        ours, theirs = medians(both, options.repeats)
                    except (AccordError, TypeError) as why:
                        print(json.dumps(row | {"left_out": str(why)}))
                        continue
                    yield row | {"median_ms": ours, "peer_ms": theirs}


def tables(lines: Iterable[str]) -> str:
    """Return a Markdown table of the independent gradients, and what is slower than 1 ms on the others."""
    rows = [row for row in map(json.loads, lines) if row.get("median_ms") is not None]
    counts = sorted({row["tasks"] for row in rows})
    out = ["| method | " + " | ".join(f"T = {count}" for count in counts) + " |", "| --- " * (len(counts) + 1) + "|"]
    for (name, kind), group in groupby(rows, key=lambda row: (row["method"], row["gradients"])):
        found = {row["tasks"]: row for row in group}
        if kind == "independent":
            out.append(f"| {name} | " + " | ".join(_cell(found.get(count)) for count in counts) + " |")
    return "\n".join(out)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['median_ms']:.2g}" + (f" ({row['peer_ms']:.2g})" if row.get("peer_ms") else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="2,8,40,128")
    parser.add_argument("--methods", help="their names; all if left out")
    parser.add_argument("--kinds", default="independent,common,dependent")
    parser.add_argument("--dimensions", help=f"of {', '.join(SIZES)}; 4T if left out, T/2 for dependent gradients")
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--tables", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.tables:
        print(tables(options.tables.read_text("utf-8").splitlines()))
        return
    print(json.dumps({"accord": accord.__version__, "torch": torch.__version__}))
    for row in measure(options):
        line = json.dumps(row)
        print(line, flush=True)
        if options.output:
            with options.output.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
