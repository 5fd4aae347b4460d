"""How much of fronts that are known in closed form each method reaches, and how fast a hypervolume's gradient is.

    python benchmarks/fronts.py [--seeds 3] [--only conditioned,single,sets,speed] [--output FILE] [--table FILE]

One JSON line per run. ``conditioned``: one network 2-128-128-10 from preference to decision, Adam at 1e-3, 1500 steps
of 64 preferences, one from each 64th of 0.01 to 0.99, weights averaged over the last 100 steps or so; looked at on 100
preferences (``volume``), and on 2000 from 0 to 1 (``dense``). All networks of a problem are trained side by side, so
the first line has the time of all. ``single``: a solution for each of 10 preferences, Adam at 0.02 for 400 steps.
``sets``: 10 solutions trained together, likewise. ``speed``: value and gradient for 100 points in three objectives,
beside BoTorch's box decomposition (value only) where it is installed, in alternation. CPU, one thread. A run that
``--output`` already has is left out, so that an interrupted benchmark goes on. ``--table`` prints an output as the
documentation's table.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from accord.aggregation import Aggregator
from accord.pareto import (
    COSMOS,
    EPO,
    MOOSVGD,
    PMGDA,
    PMTL,
    AASFScalarisation,
    HypervolumeGradient,
    LinearScalarisation,
    PBIScalarisation,
    Scalarisation,
    SmoothTchebycheffScalarisation,
    TchebycheffScalarisation,
    hypervolume,
    problems,
    simplex_grid,
)

Weigh = Callable[[Tensor, Tensor], Tensor]  # objectives [n, m], preferences [n, m] -> what to minimise
SCALARISATIONS: dict[str, Scalarisation] = {
    "linear": LinearScalarisation(),
    "tchebycheff": TchebycheffScalarisation(),
    "tchebycheff, inverse": TchebycheffScalarisation(inverse=True),
    "smooth tchebycheff": SmoothTchebycheffScalarisation(),
    "smooth tchebycheff, mu 0.02": SmoothTchebycheffScalarisation(0.02),
    "aasf": AASFScalarisation(),
    "pbi": PBIScalarisation(),
}
WEIGHS: dict[str, Weigh] = {**SCALARISATIONS, "cosmos": COSMOS(nn.Identity(), 2).objective}
# Problem, and the reference in every objective that its volumes are usually given for.
LEARNED = [(problems.vlmop2(10), 1.0), (problems.zdt1(10), 1.1), (problems.zdt2(10), 1.1)]
SOLVED = [
    (problems.vlmop1(2), 1.1),
    (problems.vlmop2(2), 1.1),
    (problems.zdt1(5), 1.1),
    (problems.zdt2(5), 1.1),
    (problems.dtlz2(3, 7), 1.1),
]


@cache
def conditioned(number: int, seeds: int) -> dict[tuple[str, int], dict[str, float]]:
    """Learn a whole front by every method; return each network's volume, seen at 100 preferences and at 2000.

    The networks of all methods and seeds are trained side by side, which changes nothing for any of them.
    """
    (problem, reference), count = LEARNED[number], len(WEIGHS)
    weights = [torch.stack([one] * count).flatten(0, 1).requires_grad_() for one in started(problem.variables, seeds)]
    generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
    optimiser, steady = torch.optim.Adam(weights, lr=1e-3, fused=True), [one.detach().clone() for one in weights]
    for _ in range(1500):
        drawn = torch.stack([torch.rand(64, generator=generator) for generator in generators])
        preferences = both(0.01 + 0.98 * (torch.arange(64) + drawn) / 64)
        points = problem.objectives(decide(weights, preferences.repeat(count, 1, 1), problem.bounds))
        losses = zip(WEIGHS.values(), points.view(count, *preferences.shape), strict=True)
        optimiser.zero_grad()
        # The sum over networks of each one's mean.
        (seeds * torch.stack([weigh(own, preferences).mean() for weigh, own in losses]).sum()).backward()
        optimiser.step()
        with torch.no_grad():  # steps of constant size on functions with kinks do not settle; their average does
            torch._foreach_lerp_(steady, weights, 0.01)
    found: dict[tuple[str, int], dict[str, float]] = {}
    for place, key in enumerate(itertools.product(WEIGHS, range(seeds))):
        own = [one[place : place + 1] for one in steady]
        looked = {"volume": torch.linspace(0.01, 0.99, 100), "dense": torch.linspace(0, 1, 2000)}
        seen = {what: decide(own, both(first[None]), problem.bounds)[0] for what, first in looked.items()}
        volumes = {what: hypervolume(problem.objectives(x), [reference] * 2) for what, x in seen.items()}
        found[key] = {what: float(volume) for what, volume in volumes.items()}
    return found


def both(first: Tensor) -> Tensor:
    """Return the preferences ``[..., 2]`` whose first entries are given."""
    return torch.stack([first, 1 - first], dim=-1)


def started(outputs: int, seeds: int) -> list[Tensor]:
    """Return matrices and biases ``[S, ...]`` of networks 2-128-128-``outputs`` as PyTorch initialises them."""
    nets: list[list[Tensor]] = []
    for seed in range(seeds):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            layers = [nn.Linear(2, 128), nn.Linear(128, 128), nn.Linear(128, outputs)]
        nets.append([part.detach() for layer in layers for part in (layer.weight.T, layer.bias[None])])
    return [torch.stack(parts) for parts in zip(*nets, strict=True)]


def decide(weights: list[Tensor], preferences: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Return decisions ``[N, B, n]`` of N networks at ``preferences`` ``[N, B, 2]``, within their bounds.

    By a sine, in the middle as steep as a sigmoid: where decisions belong near a bound, as at the ends of ZDT's fronts,
    a sigmoid's slope is too flat to take them there in the steps that there are.
    """
    first, a, second, b, third, c = weights
    hidden = torch.baddbmm(b, torch.baddbmm(a, preferences, first).relu(), second).relu()
    return bounds[0] + (bounds[1] - bounds[0]) * (1 + torch.sin(torch.baddbmm(c, hidden, third) / 2)) / 2


def descend(problem: problems.Problem, seed: int, count: int, slopes: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the points of ``count`` decisions after descending ``slopes(Jacobians [n, m, P], points [n, m])``."""
    low, high = problem.bounds
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(count, problem.variables, generator=generator, dtype=torch.float64)
    x = (low + (high - low) * (0.25 + 0.5 * start)).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.02)
    for _ in range(400):
        points = problem.objectives(x)
        rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in points.T]
        x.grad = slopes(torch.stack(rows, dim=1), points.detach())
        optimiser.step()
        with torch.no_grad():
            x.clamp_(low, high)
    return problem.objectives(x).detach()


def evenly(objectives: int) -> Tensor:
    """Ten preferences inside the simplex."""
    grid = simplex_grid(objectives, 9 if objectives == 2 else 3)
    return 0.02 + (1 - 0.02 * objectives) * grid


def each(solvers: list[Aggregator]) -> Callable[[Tensor, Tensor], Tensor]:
    def slopes(jacobians: Tensor, points: Tensor) -> Tensor:
        steps = zip(solvers, jacobians, points, strict=True)
        return torch.stack([solver(rows, losses=losses) for solver, rows, losses in steps])

    return slopes


def weighted(weigh: Weigh, preferences: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    def slopes(jacobians: Tensor, points: Tensor) -> Tensor:
        variable = points.clone().requires_grad_()
        (weights,) = torch.autograd.grad(weigh(variable, preferences).sum(), variable)
        return torch.einsum("nm,nmp->np", weights, jacobians)

    return slopes


def single(problem: problems.Problem) -> Iterator[tuple[str, Callable[[], Callable[[Tensor, Tensor], Tensor]]]]:
    """Yield (method, what makes its slopes) for one solution per preference."""
    preferences = evenly(2 if problem.name != "DTLZ2" else 3)
    for name, scalarisation in SCALARISATIONS.items():
        yield name, lambda s=scalarisation: weighted(s, preferences)
    yield "epo", lambda: each([EPO(p) for p in preferences])
    yield "pmgda", lambda: each([PMGDA(p) for p in preferences])
    yield "pmtl", lambda: each([PMTL(preferences, index, search=100) for index in range(len(preferences))])


def sets(problem: problems.Problem) -> Iterator[tuple[str, Callable[[], Callable[[Tensor, Tensor], Tensor]]]]:
    """Yield (method, what makes its slopes) for ten solutions that are trained together."""
    weigh = HypervolumeGradient([1.1] * (2 if problem.name != "DTLZ2" else 3))
    yield "hypervolume gradient", lambda: lambda rows, points: torch.einsum("nm,nmp->np", weigh(points), rows)
    yield "moo-svgd", lambda: MOOSVGD(0.05)


def runs(seeds: int, only: set[str]) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, float]]]]:
    """Yield what identifies each run, and the run."""
    for seed in range(seeds):
        for number, (problem, reference) in enumerate(LEARNED) if "conditioned" in only else ():
            for name in WEIGHS:
                facts = facts_of("conditioned", problem, reference, name, seed)
                yield facts, lambda n=number, key=(name, seed): conditioned(n, seeds)[key]
        for kind, makers in (("single", single), ("sets", sets)):
            for problem, reference in SOLVED if kind in only else ():
                for name, make in makers(problem):
                    facts = facts_of(kind, problem, reference, name, seed)
                    yield facts, lambda p=problem, r=reference, s=seed, m=make: solved(p, r, s, m)
    if "speed" in only:
        yield {"kind": "speed", "points": 100, "objectives": 3}, speed


def facts_of(kind: str, problem: problems.Problem, reference: float, name: str, seed: int) -> dict[str, Any]:
    analytic = round(problem.volume(reference), 6)
    facts = {"kind": kind, "problem": problem.name, "reference": reference, "method": name, "seed": seed}
    return {**facts, "analytic": analytic}


def solved(problem: problems.Problem, reference: float, seed: int, make: Callable[[], Any]) -> dict[str, float]:
    points = descend(problem, seed, 10, make())
    return {"volume": float(hypervolume(points, [reference] * points.shape[1]))}


def speed() -> dict[str, float]:
    """Return medians in milliseconds, of ours with gradient, and of BoTorch's value alone."""
    generator = torch.Generator().manual_seed(0)
    rays = torch.randn(100, 3, generator=generator, dtype=torch.float64).abs()
    points = (rays / rays.norm(dim=1, keepdim=True)).requires_grad_()

    def ours() -> float:
        volume = hypervolume(points, [1.1] * 3)
        torch.autograd.grad(volume, points)
        return float(volume.detach())

    contenders = {"accord_ms": ours}
    if find_spec("botorch"):
        from botorch.utils.multi_objective.box_decompositions.dominated import DominatedPartitioning

        worst, high = torch.full((3,), -1.1, dtype=torch.float64), -points.detach()
        contenders["botorch_ms"] = lambda: float(DominatedPartitioning(worst, high).compute_hypervolume())
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(21):
        for name, call in contenders.items():
            start = time.perf_counter()
            volume = call()
            times[name].append(1000 * (time.perf_counter() - start))
            assert abs(volume - ours()) < 1e-9
    return {name: statistics.median(values) for name, values in times.items()}


def table(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Yield one Markdown table per kind: means over seeds in per cent of the analytic value."""
    for kind, field in (("conditioned", "volume"), ("conditioned", "dense"), ("single", "volume"), ("sets", "volume")):
        chosen = [line for line in lines if line["kind"] == kind]
        names = list(dict.fromkeys(line["problem"] for line in chosen))
        if chosen:
            yield f"\n{kind}, {field}\n"
            yield "| method | " + " | ".join(names) + " |"
            yield "| --- |" + " ---: |" * len(names)
        for method in dict.fromkeys(line["method"] for line in chosen):
            cells = []
            for name in names:
                found = [li for li in chosen if (li["method"], li["problem"]) == (method, name)]
                shares = [100 * line[field] / line["analytic"] for line in found]
                cells.append(f"{statistics.mean(shares):.1f}" if shares else "")
            yield f"| {method} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="conditioned,single,sets,speed")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    if options.table:
        print("\n".join(table([json.loads(line) for line in options.table.read_text("utf-8").splitlines()])))
        return
    torch.set_num_threads(1)
    done = options.output.read_text("utf-8").splitlines() if options.output and options.output.exists() else []
    known = [json.loads(line) for line in done]
    for facts, run in runs(options.seeds, set(options.only.split(","))):
        if any(all(line.get(key) == value for key, value in facts.items()) for line in known):
            continue
        start = time.process_time()
        found = {name: round(value, 6) for name, value in run().items()}
        seconds = round(time.process_time() - start, 2)
        line = json.dumps({**facts, **found, "cpu_seconds": seconds, "load": round(os.getloadavg()[0], 1)})
        print(line, flush=True)
        if options.output:
            with options.output.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
