"""Equal effort for everybody: the same number of trials, chosen on validation rows, then fresh seeds on test rows."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from benchmarks.study.methods import Contender, Draw, Options
from benchmarks.study.problem import Problem
from benchmarks.study.results import Results, Run
from benchmarks.study.statistics import delta_m
from benchmarks.study.train import train

from accord.balancer import Balancer
from accord.registry import build

RATES = (1e-2, 3e-3, 3e-2)
# Further trials of a method without a main hyper-parameter draw a rate within this factor of the best of RATES.
REFINED_WITHIN = 3.0
TUNING_SEED = 0
SINGLE = "single:"


@dataclass(frozen=True)
class Entrant:
    """What is tuned and tested on one data set: a method, or a single task's model.

    Attributes:
        tasks: positions of the tasks it trains.
        draw: of the options that are tuned beside the learning rate.
        build: options and a seed to a new balancer.
        last_layer: whether it wants gradients at the last shared layer only.
        parts: how many parts of a batch it wants the losses of.
        score: validation metrics to what is maximised.
    """

    name: str
    tasks: tuple[int, ...]
    draw: Draw | None
    build: Callable[[Options, int], Balancer]
    last_layer: bool
    parts: int
    score: Callable[[dict[str, float]], float]


def single(problem: Problem, task: int) -> Entrant:
    """Return the model of one task by itself: the reference of delta-m."""
    name = problem.tasks[task]
    return Entrant(
        SINGLE + name,
        (task,),
        None,
        lambda options, seed: build("fixed", rooms=("weighting",)),  # noqa: ARG005
        False,
        1,
        lambda metrics: problem.sign * metrics[name],
    )


def joint(problem: Problem, contender: Contender, reference: dict[str, float]) -> Entrant:
    """Return a method on all tasks, to be tuned for delta-m against ``reference``."""
    return Entrant(
        contender.name,
        tuple(range(len(problem.tasks))),
        contender.draw,
        lambda options, seed: contender.build(problem, options, seed),
        contender.reads_last_layer,
        contender.parts,
        lambda metrics: delta_m(metrics, reference, problem.sign),
    )


def enter(problem: Problem, entrant: Entrant, results: Results, *, trials: int, seeds: int) -> None:
    """Tune ``entrant``, then train the best of its trials with ``seeds`` fresh seeds; what is there is not made again.

    A method that fails is out with its first failure, which is kept.
    """
    tried: list[Run] = []
    while len(tried) < trials:
        wanted = next_trial(problem, entrant, tried)
        tried.append(results.find(wanted) or _made(problem, entrant, wanted, results))
        if tried[-1].failure:
            return
    chosen = best_of(tried, entrant.score)
    for seed in range(1, seeds + 1):
        wanted = replace(chosen, stage="test", seed=seed)
        if results.find(wanted) is None:
            _made(problem, entrant, wanted, results)


def next_trial(problem: Problem, entrant: Entrant, tried: Sequence[Run]) -> Run:
    """Return the next trial: three learning rates with the defaults, then draws around the best of these.

    Draws depend on the method's name and the trial's number alone.
    """
    blank = Run(problem.name, entrant.name, "tune", TUNING_SEED, 0.0, {}, asdict(problem.sizes))
    if len(tried) < len(RATES):
        return replace(blank, rate=RATES[len(tried)])
    rng = np.random.default_rng([zlib.crc32(entrant.name.encode()), len(tried)])
    best = best_of(tried[: len(RATES)], entrant.score).rate
    if entrant.draw is None:
        return replace(blank, rate=float(f"{best * REFINED_WITHIN ** rng.uniform(-1, 1):.3g}"))
    return replace(blank, rate=best, options=entrant.draw(rng, len(problem.tasks)))


def best_of(tried: Sequence[Run], score: Callable[[dict[str, float]], float]) -> Run:
    """Return the run with the highest score, the first of equals; one that diverged has none."""

    def ranked(run: Run) -> float:
        value = score(run.metrics)
        return value if math.isfinite(value) else -math.inf

    return max(tried, key=ranked)


def reference(problem: Problem, runs: Sequence[Run]) -> dict[str, float]:
    """Return by task the best validation metric of its own model."""
    found: dict[str, list[float]] = {name: [] for name in problem.tasks}
    for run in runs:
        if run.problem == problem.name and run.stage == "tune" and run.method.startswith(SINGLE):
            for name, value in run.metrics.items():
                found[name].append(value)
    return {name: problem.sign * float(np.nanmax(problem.sign * np.array(values))) for name, values in found.items()}


def _made(problem: Problem, entrant: Entrant, wanted: Run, results: Results) -> Run:
    try:
        balancer = entrant.build(wanted.options, wanted.seed)
        asked = {"rate": wanted.rate, "seed": wanted.seed, "last_layer": entrant.last_layer, "parts": entrant.parts}
        done = train(problem, entrant.tasks, balancer, **asked)
        part = problem.validation if wanted.stage == "tune" else problem.test
        metrics = problem.judge(done.network, part, entrant.tasks)
        run = replace(wanted, metrics=metrics, cpu_ms=round(done.cpu_ms, 3), wall_ms=round(done.wall_ms, 3))
    except Exception as error:  # one method's failure must not cost the others their hours
        run = replace(wanted, metrics={}, failure=f"{type(error).__name__}: {error}")
    results.add(run)
    return run
