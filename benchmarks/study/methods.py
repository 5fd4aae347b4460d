"""Who takes part: every method of the registry, how it is built for a data set, and what of it is tuned."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.study.problem import Problem

from accord.aggregation.double_sampling import DoubleSampling
from accord.balancer import Balancer, Weighting
from accord.comparing.ranges import Between, OneOf, Range
from accord.comparing.spaces import PLAIN as PLAIN_SPACE
from accord.comparing.spaces import SPACES
from accord.registry import registered

Options = dict[str, Any]
# A seeded draw of the main hyper-parameter, for T tasks.
Draw = Callable[[np.random.Generator, int], Options]

PLAIN, TUNED = "plain mean", "tuned plain weights"
# Learnt weights move ten times as fast as the model, as in `accord fit`.
BALANCER_RATE = 10.0


def _drawn(cls: type, option: str, found: Range) -> Draw:
    """Return the draw of one option from the range that `accord compare` searches."""
    if isinstance(found, Between) and found.scale == "linear":
        return lambda rng, _: {option: round(rng.uniform(found.low, found.high), 3)}
    if isinstance(found, OneOf):  # the default has had its turn
        default = inspect.signature(cls).parameters[option].default
        found = OneOf(tuple(value for value in found.values if value != default))
    return lambda rng, tasks: {option: found.draw(rng, tasks)}


def _orders(rng: np.random.Generator, tasks: int) -> Options:
    """Draw the expectation over PCGrad's orders where they can be counted; else another seed of theirs."""
    return {"orders": "all"} if tasks <= 8 else {"seed": int(rng.integers(1, 1000))}


# What our shape of a run asks for, by the methods' own documentation; it is no part of the tuning.
GIVEN: dict[str, Options] = {"co_ba": {"warmup": 2, "history": 5}}
LEFT_OUT = {
    "auxi_nash": "learns bargaining powers for the sake of one main task; without one it is `nash_mtl`",
    "evidence_weighting": "weighs a likelihood against priors, not tasks",
    "fuller": "balances the branches of several modalities; without them it is IMTL-G",
    "mamlmtl": "trains on losses behind a virtual step of each task; without them it is the plain mean",
    "prospect": "is `spectral_risk` where every task has a loss in every step",
    "scheduled": "takes a schedule that someone knows; without one it is the plain mean",
    "selective_freezing": "is made for the few scales of a quantised network under two objectives",
    "sum": "is `mean` times the number of tasks, which Adam divides out again",
}
# They put the first task first; the mean over tasks is not what they promise.
PRIMARY = ("orthogonal_gradient", "pcd")


def draws() -> dict[str, Draw]:
    """Return by method what is drawn after its defaults were tried: the main option that `accord compare` searches.

    A method that has none has its learning rate refined instead.
    """
    found = {
        name: _drawn(cls, *next(iter(SPACES[name].items())))
        for name, cls in registered("weighting", "aggregation").items()
        if name in SPACES
    }
    return {**found, "pcgrad": _orders, TUNED: found.pop(PLAIN_SPACE)}


@dataclass(frozen=True)
class Contender:
    """One method under the study's rules."""

    name: str
    cls: type
    draw: Draw | None

    def build(self, problem: Problem, options: Mapping[str, Any], seed: int) -> Balancer:
        """Return the method for ``problem``: it is told what a training run knows, and otherwise has its defaults."""
        known = {"seed": seed, "tasks": len(problem.tasks), "forms": _form(problem)}
        takes = inspect.signature(self.cls).parameters
        facts = {name: value for name, value in known.items() if name in takes}
        return self.cls(**{**facts, **GIVEN.get(self.name, {}), **options})

    @property
    def reads_last_layer(self) -> bool:
        """Whether gradients are wanted at the last shared layer alone, as GradNorm's paper has it."""
        return issubclass(self.cls, Weighting) and self.cls.method.needs == "gramian"

    @property
    def parts(self) -> int:
        """How many independent parts of a batch it wants."""
        return 2 if issubclass(self.cls, DoubleSampling) else 1


def _form(problem: Problem) -> str:
    return "regression" if problem.kind == "regression" else "classification"


def contenders() -> list[Contender]:
    """Return tuned plain weights, the plain mean, and every registered balancer that is not left out."""
    classes, drawn = registered("weighting", "aggregation"), draws()
    fixed = classes.pop("fixed")
    plain = [Contender(TUNED, fixed, drawn[TUNED]), Contender(PLAIN, fixed, None)]
    return plain + [Contender(name, cls, drawn.get(name)) for name, cls in classes.items() if name not in LEFT_OUT]
