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
from accord.registry import registered

Options = dict[str, Any]
# A seeded draw of the main hyper-parameter, for T tasks.
Draw = Callable[[np.random.Generator, int], Options]

PLAIN, TUNED = "plain mean", "tuned plain weights"
# Learnt weights move ten times as fast as the model, as in `accord fit`.
BALANCER_RATE = 10.0
# Draws of static weights: 3 keeps most of them within a factor of three of each other.
CONCENTRATION = 3.0


def _log_uniform(name: str, low: float, high: float) -> Draw:
    return lambda rng, _: {name: float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.3g}")}


def _uniform(name: str, low: float, high: float) -> Draw:
    return lambda rng, _: {name: round(rng.uniform(low, high), 3)}


def _one_of(name: str, *values: Any) -> Draw:
    return lambda rng, _: {name: values[rng.integers(len(values))]}


def _weights(rng: np.random.Generator, tasks: int) -> Options:
    return {"weights": [round(float(weight), 4) for weight in rng.dirichlet([CONCENTRATION] * tasks)]}


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

# The default of each is tried first; a method that is not named has its learning rate refined instead.
DRAWS: dict[str, Draw] = {
    "aligned_mtl": _one_of("scale", "median", "rmse"),
    "auto_lambda": _log_uniform("lr", 1e-4, 1e-1),
    "cagrad": _uniform("c", 0.1, 0.9),
    "co_ba": _log_uniform("tau", 1.0, 20.0),
    "conic_grad": _uniform("c", 0.1, 0.9),
    "crmogm": _one_of("aggregator", "pcgrad", "cagrad"),
    "dbmtl": _uniform("beta", 0.0, 0.99),
    "dynamic_weight_average": _log_uniform("temperature", 0.5, 8.0),
    "excess_mtl": _log_uniform("eta", 1e-3, 1.0),
    "fair_grad": _log_uniform("alpha", 0.3, 3.0),
    "famo": _log_uniform("lr", 1e-3, 1e-1),
    "focal_task": _uniform("gamma", 0.5, 5.0),
    "forum": _log_uniform("lr", 1e-3, 1e-1),
    "gcond": _uniform("memory", 0.5, 0.99),
    "grad_norm": _uniform("alpha", 0.0, 3.0),
    "grad_vac": _log_uniform("beta", 1e-3, 1.0),
    "mgda": _one_of("normalisation", "l2", "loss", "loss+"),
    "hedge": _uniform("beta", 0.5, 0.999),
    "mo_co": _log_uniform("gamma", 1e-3, 1.0),
    "mo_do": _log_uniform("gamma", 1e-3, 1.0),
    "moml": _log_uniform("lr", 1e-3, 1e-1),
    "orthogonal_gradient": _log_uniform("eta", 0.3, 10.0),
    "pcd": _log_uniform("tau", 1e-3, 1.0),
    "pcgrad": _orders,
    "random_loss_weighting": _one_of("distribution", "uniform", "dirichlet"),
    "sdmgrad": _log_uniform("lam", 0.03, 3.0),
    "smooth_tchebycheff": _log_uniform("mu", 0.03, 10.0),
    "spectral_risk": _one_of("spectrum", "top_k", "extremile", "esrm"),
    "weight_net": _log_uniform("lr", 1e-3, 1e-1),
    TUNED: _weights,
}


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
    classes = registered("weighting", "aggregation")
    fixed = classes.pop("fixed")
    plain = [Contender(TUNED, fixed, DRAWS[TUNED]), Contender(PLAIN, fixed, None)]
    return plain + [Contender(name, cls, DRAWS.get(name)) for name, cls in classes.items() if name not in LEFT_OUT]
