"""``python -m benchmarks.study run`` measures, ``python -m benchmarks.study page`` writes docs/study.md."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from benchmarks.study.methods import contenders
from benchmarks.study.page import write
from benchmarks.study.problem import PROBLEMS, Problem
from benchmarks.study.protocol import enter, joint, reference, single
from benchmarks.study.results import Results

RESULTS = Path(__file__).parent / "results.jsonl"
DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Do what the command line asks for."""
    options = _parse()
    if options.what == "page":
        write(Results(options.results), options.docs)
        return
    torch.set_num_threads(1)
    results = Results(options.results)
    for name in options.problems:
        _run(_problem(name, options), results, options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("what", choices=("run", "page"))
    parser.add_argument("--problems", nargs="+", default=PROBLEMS, choices=PROBLEMS)
    parser.add_argument("--methods", nargs="+", help="registry names (default: all); the references always run")
    parser.add_argument("--trials", type=int, default=5, help="tuning runs per method (default 5)")
    parser.add_argument("--seeds", type=int, default=5, help="test runs per method (default 5)")
    parser.add_argument("--steps", type=int, help="training steps (default: the data set's own)")
    parser.add_argument("--train-rows", type=int, help="training rows (default: the data set's own)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines; runs in it are not made again")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of study.md and images/")
    return parser.parse_args()


def _problem(name: str, options: argparse.Namespace) -> Problem:
    module = importlib.import_module(f"benchmarks.study.data.{name}")
    wanted = {"steps": options.steps, "train": options.train_rows}
    return module.load(replace(module.SIZES, **{key: value for key, value in wanted.items() if value}))


def _run(problem: Problem, results: Results, options: argparse.Namespace) -> None:
    budget = {"trials": options.trials, "seeds": options.seeds}
    for task in range(len(problem.tasks)):
        enter(problem, single(problem, task), results, **budget)
    against = reference(problem, list(results))
    for position, contender in enumerate(contenders()):
        if position < 2 or not options.methods or contender.name in options.methods:
            start = time.perf_counter()
            enter(problem, joint(problem, contender, against), results, **budget)
            print(f"{problem.name} {contender.name} {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
