"""Time the engines and their peers against one plain step of the summed losses, alternating in one process.

    python benchmarks/engines.py [--models mlp,resnet,transformer] [--tasks 2,4,8,16,40] [--engines loop,gramian,...]
                                 [--inputs shared|domains|samples] [--repeats 5] [--seconds 120] [--threads 1]
                                 [--peer] [--libmtl PATH] [--output engines.jsonl]
    python benchmarks/engines.py --tables engines.jsonl

Prints one JSON line per model, number of tasks and engine: ``{"model", "inputs", "tasks", "engine", "median_ms",
"cpu_ms", "ratio", "cpu_ratio", "spread", "repeats", "peak_mb", "threads", "load"}``, with ``weights_error`` for an
approximate engine (its weights' relative distance from those of the exact one). Lines are appended to ``--output``;
cells that are there already are not measured again, so an interrupted run goes on where it was. ``--tables`` prints the
tables of a finished one.

A step is zero_grad, forward, T losses and gradients in ``.grad`` under UPGrad. ``ratio`` is its wall-clock time over
that of the plain steps between all contenders of its cell, and ``cpu_ratio`` that of CPU time, which other work on the
machine disturbs less. All contenders of one model and number of tasks alternate in one process, round after round;
``peak_mb`` (peak resident memory) is that of a fresh process each. Inputs: ``shared``, every task sees every sample;
``domains``, every sample belongs to one task (and the batch has one for each at least); ``samples``, one objective per
sample of a batch of T, all through one head that is shared too. ``--peer`` adds the settings of TorchJD where it can be
imported, ``--libmtl`` the loops of a checkout of LibMTL; nothing here needs either.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from engine_models import MODELS
from engine_steps import Step, build, peers, plain
from engine_tables import tables
from measure import peak_mib
from torch import Tensor, nn

APPROXIMATE = ("sketch", "representation")


def setting(
    model: str, tasks: int, inputs: str
) -> tuple[nn.Module, Tensor, nn.Module, list[slice | None], list[Tensor]]:
    """Return trunk, batch, heads, each task's rows (``None`` for all), and each task's targets."""
    torch.manual_seed(0)
    trunk, x, width = MODELS[model]()
    if inputs == "samples":
        x = torch.randn(tasks, *x.shape[1:])
        single: list[slice | None] = [slice(task, task + 1) for task in range(tasks)]
        return trunk, x, nn.Linear(width, 8), single, [torch.randn(1, 8) for _ in single]
    if inputs == "domains":
        x = x if len(x) >= tasks else torch.randn(tasks, *x.shape[1:])
        rows: list[slice | None] = [slice(task, None, tasks) for task in range(tasks)]
    else:
        rows = [None] * tasks
    heads = nn.ModuleList(nn.Linear(width, 8) for _ in range(tasks))
    return trunk, x, heads, rows, [torch.randn(len(take(x, part)), 8) for part in rows]


def take(values: Tensor, rows: slice | None) -> Tensor:
    """Return a task's rows; where it has all of them, without a node in the graph that says so."""
    return values if rows is None else values[rows]


def step_of(model: str, tasks: int, options: Namespace) -> tuple[nn.Module, nn.Module, Callable[[Step], Tensor | None]]:
    """Return trunk, heads, and what takes one step with a contender's way of descending."""
    trunk, x, heads, rows, targets = setting(model, tasks, options.inputs)
    parameters = [*trunk.parameters(), *heads.parameters()]

    def losses(features: Tensor) -> list[Tensor]:
        each = heads if isinstance(heads, nn.ModuleList) else [heads] * tasks
        parts = zip(each, rows, targets, strict=True)
        return [(head(take(features, part)) - target).pow(2).mean() for head, part, target in parts]

    def step(descend: Step) -> Tensor | None:
        for parameter in parameters:
            parameter.grad = None
        features = trunk(x)
        return descend(features, losses(features))

    return trunk, heads, step


def measure(model: str, tasks: int, engines: list[str], options: Namespace) -> Iterator[dict[str, Any]]:
    """Yield one line per engine: medians over ``options.repeats`` rounds, or as many as fit ``options.seconds``."""
    trunk, heads, step = step_of(model, tasks, options)
    steps = {engine: build(engine, trunk, heads, options.libmtl) for engine in engines}
    spent: dict[str, list[tuple[float, ...]]] = {name: [] for name in steps}
    start = time.perf_counter()
    for repeat in range(options.repeats + 1):
        if repeat > 2 and time.perf_counter() - start > options.seconds:
            break
        for name, descend in steps.items():
            found = *timed(step, plain), *timed(step, descend)
            if repeat:
                spent[name].append(found)
    # One denominator for all: what a contender leaves in memory and caches changes the plain step that follows it.
    wall_plain, cpu_plain = (statistics.median(r[i] for rounds in spent.values() for r in rounds) for i in (0, 1))
    for engine, rounds in spent.items():
        wall, cpu = (statistics.median(r[i] for r in rounds) for i in (2, 3))
        line = {
            "model": model,
            "inputs": options.inputs,
            "tasks": tasks,
            "engine": engine,
            "threads": options.threads,
            "repeats": len(rounds),
            "median_ms": round(wall * 1e3, 1),
            "cpu_ms": round(cpu * 1e3, 1),
            "ratio": round(wall / wall_plain, 3),
            "cpu_ratio": round(cpu / cpu_plain, 3),
            "spread": round(spread(rounds), 3),
            "load": round(os.getloadavg()[0], 2),
        }
        if engine.startswith(APPROXIMATE):
            weights, exact = step(steps[engine]), step(build("gramian", trunk, heads, None))
            assert weights is not None and exact is not None
            line["weights_error"] = round(float((weights - exact).norm() / exact.norm()), 4)
        yield line


def timed(step: Callable[[Step], Tensor | None], descend: Step) -> tuple[float, float]:
    """Return wall-clock and processor seconds of one step."""
    began, used = time.perf_counter(), time.process_time()
    step(descend)
    return time.perf_counter() - began, time.process_time() - used


def spread(rounds: list[tuple[float, ...]]) -> float:
    """Return half the range of the middle half of the rounds' ratios of processor time, relative to their median."""
    ratios = sorted(found[3] / found[1] for found in rounds)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    return (high - low) / 2 / statistics.median(ratios)


def peak(model: str, tasks: int, engine: str, options: Namespace) -> int:
    """Return the peak resident memory of a fresh process that takes two steps, in MiB."""
    trunk, heads, step = step_of(model, tasks, options)
    descend = plain if engine == "plain" else build(engine, trunk, heads, options.libmtl)
    for _ in range(2):
        step(descend)
    return round(peak_mib())


def done(output: Path | None) -> set[tuple[Any, ...]]:
    """Return the cells that ``output`` holds."""
    lines = output.read_text("utf-8").splitlines() if output and output.exists() else []
    return {key(json.loads(line)) for line in lines}


def key(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("model", "inputs", "tasks", "engine", "threads"))


def fresh(job: str, model: str, tasks: int, engines: list[str], options: Namespace) -> str:
    """Return what a fresh process prints that does one ``job``."""
    command = ["--job", job, "--models", model, "--tasks", str(tasks), "--engines", ",".join(engines)]
    command += ["--inputs", options.inputs, "--repeats", str(options.repeats), "--seconds", str(options.seconds)]
    command += ["--threads", str(options.threads), *(["--libmtl", options.libmtl] if options.libmtl else [])]
    found = subprocess.run([sys.executable, __file__, *command], check=False, stdout=subprocess.PIPE, text=True)
    if found.returncode:
        print(f"{model}, T = {tasks}, {engines}: failed, see above; going on", file=sys.stderr)
    return found.stdout


def run(options: Namespace) -> None:
    engines = [*options.engines.split(","), *(peers(options.libmtl) if options.peer or options.libmtl else ())]
    output = Path(options.output) if options.output else None
    known = done(output)
    for model in options.models.split(","):
        for tasks in map(int, options.tasks.split(",")):
            new = [one for one in engines if (model, options.inputs, tasks, one, options.threads) not in known]
            for line in map(json.loads, fresh("time", model, tasks, new, options).splitlines() if new else ()):
                memory = fresh("peak", model, tasks, [line["engine"]], options)
                text = json.dumps(line | {"peak_mb": int(memory) if memory else None})
                print(text, flush=True)
                if output:
                    with output.open("a", encoding="utf-8") as file:
                        file.write(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="mlp,resnet,transformer")
    parser.add_argument("--tasks", default="2,4,8,16,40")
    parser.add_argument("--engines", default="loop,batched,gramian,sketch,representation,auto")
    parser.add_argument("--inputs", default="shared", choices=["shared", "domains", "samples"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--libmtl")
    parser.add_argument("--output")
    parser.add_argument("--tables", metavar="FILE")
    parser.add_argument("--job", choices=["time", "peak"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.tables:
        print(tables(Path(options.tables).read_text("utf-8").splitlines()))
    elif options.job == "time":
        for line in measure(options.models, int(options.tasks), options.engines.split(","), options):
            print(json.dumps(line), flush=True)
    elif options.job == "peak":
        print(peak(options.models, int(options.tasks), options.engines, options))
    else:
        run(options)


if __name__ == "__main__":
    main()
