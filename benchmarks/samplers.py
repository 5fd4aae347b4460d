"""How much reward the bandits of accord.sampling give away where the best task changes.

    python benchmarks/samplers.py [--seeds 5] [--horizon 5000] [--output FILE] [--table FILE]

Six tasks with Bernoulli rewards whose means are planted: ``still`` (they stay), ``switching`` (five times, at random,
the best task becomes the worst and another one the best), ``drifting`` (sines of different phases: the best task
changes all the time, a little) and ``fading`` (a task's mean falls with every draw of it and recovers while it is left
alone, as what can be learnt from data does). Regret is the sum over draws of the best mean of that moment less that of
the task drawn; the table has it in per cent of what drawing evenly gives away, with t intervals over seeds. One JSON
line per run. CPU, one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import mean_interval

from accord.sampling import UCB, AutomatedCurriculum, DiscountedUCB, Exp3, Exp3S, Sampler, Thompson, Uniform

TASKS, SWITCHES = 6, 5
Means = Callable[[int, np.ndarray], np.ndarray]  # number of the draw, how tired each task is [T] -> [T]

SAMPLERS: dict[str, Callable[[int, int], Sampler]] = {
    "uniform": lambda _, seed: Uniform(TASKS, mix="unmixed", seed=seed),
    "exp3": lambda horizon, seed: Exp3(TASKS, horizon, seed=seed),
    "exp3s": lambda horizon, seed: Exp3S(TASKS, horizon, switches=SWITCHES, seed=seed),
    "ucb": lambda _, seed: UCB(TASKS, seed=seed),
    "discounted_ucb": lambda horizon, seed: DiscountedUCB(
        TASKS, discount=1 - (SWITCHES / horizon) ** 0.5 / 4, seed=seed
    ),
    "thompson": lambda _, seed: Thompson(TASKS, seed=seed),
    "thompson, discount 0.99": lambda _, seed: Thompson(TASKS, discount=0.99, seed=seed),
    "automated_curriculum": lambda _, seed: AutomatedCurriculum(TASKS, rate=0.01, seed=seed),
}


def still(horizon: int, rng: np.random.Generator) -> Means:  # noqa: ARG001
    means = rng.permutation(np.linspace(0.2, 0.8, TASKS))
    return lambda *_: means


def switching(horizon: int, rng: np.random.Generator) -> Means:
    places = np.sort(rng.choice(np.arange(horizon // 20, horizon), SWITCHES, replace=False))
    stages = [rng.permutation(np.linspace(0.2, 0.8, TASKS))]
    for _ in range(SWITCHES):
        means = stages[-1].copy()
        best, worst = means.argmax(), means.argmin()
        other = rng.choice([task for task in range(TASKS) if task not in (best, worst)])
        means[[best, other, worst]] = means[[worst, best, other]]
        stages.append(means)
    return lambda draw, _: stages[int(np.searchsorted(places, draw, side="right"))]


def drifting(horizon: int, rng: np.random.Generator) -> Means:
    phases = rng.permutation(TASKS) / TASKS
    return lambda draw, _: 0.5 + 0.3 * np.sin(2 * np.pi * (3 * draw / horizon + phases))


def fading(horizon: int, rng: np.random.Generator) -> Means:  # noqa: ARG001
    fresh = rng.permutation(np.linspace(0.5, 0.9, TASKS))
    return lambda _, tired: fresh * (1 - tired)


PROBLEMS = {"still": still, "switching": switching, "drifting": drifting, "fading": fading}


def regret(sampler: Sampler, means: Means, horizon: int, rng: np.random.Generator) -> float:
    """Return how much expected reward was given away.

    A task tires by 1 % of what is left with every draw of it, and recovers by 0.2 % with every draw.
    """
    given, tired = 0.0, np.zeros(TASKS)
    for draw in range(horizon):
        now = means(draw, tired)
        task = int(sampler(1).argmax())
        given += now.max() - now[task]
        rewards = np.full(TASKS, np.nan)
        rewards[task] = float(rng.random() < now[task])
        sampler.observe(rewards=torch.from_numpy(rewards))
        tired *= 0.998
        tired[task] += 0.01 * (1 - tired[task])
    return float(given)


def runs(seeds: int, horizon: int) -> Iterator[tuple[dict[str, Any], Callable[[], float]]]:
    """Yield what identifies each run, and the run. All samplers of a seed meet the same problem."""
    for seed in range(seeds):
        for problem, plant in PROBLEMS.items():
            for name, make in SAMPLERS.items():
                facts = {"problem": problem, "sampler": name, "seed": seed, "horizon": horizon}

                def run(plant: Any = plant, make: Any = make, seed: int = seed) -> float:
                    means = plant(horizon, np.random.default_rng([seed, 0]))
                    return regret(make(horizon, seed), means, horizon, np.random.default_rng([seed, 1]))

                yield facts, run


def table(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a Markdown table: regret in per cent of that of drawing evenly, mean and 95 % t interval over seeds."""
    regrets = {(line["problem"], line["sampler"], line["seed"]): line["regret"] for line in lines}
    seeds = sorted({seed for _, _, seed in regrets})
    yield "| sampler | " + " | ".join(PROBLEMS) + " |"
    yield "| --- |" + " ---: |" * len(PROBLEMS)
    for name in SAMPLERS:
        cells = []
        for problem in PROBLEMS:
            known = [seed for seed in seeds if (problem, name, seed) in regrets]
            shares = [100 * regrets[problem, name, s] / regrets[problem, "uniform", s] for s in known]
            mean, half = mean_interval(shares) if shares else (math.nan, 0.0)
            cells.append(f"{mean:.0f} ± {half:.0f}" if half else f"{mean:.0f}")
        yield f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--horizon", type=int, default=5000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    if options.table:
        print("\n".join(table([json.loads(line) for line in options.table.read_text("utf-8").splitlines()])))
        return
    torch.set_num_threads(1)
    done = options.output.read_text("utf-8").splitlines() if options.output and options.output.exists() else []
    known = [json.loads(line) for line in done]
    for facts, run in runs(options.seeds, options.horizon):
        if any(all(line.get(key) == value for key, value in facts.items()) for line in known):
            continue
        start = time.process_time()
        line = json.dumps({**facts, "regret": round(run(), 2), "cpu_seconds": round(time.process_time() - start, 2)})
        print(line, flush=True)
        if options.output:
            with options.output.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
