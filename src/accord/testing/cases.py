"""Jacobians that methods stumble over: every family a balancer may meet, drawn from a few integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from accord.errors import MissingExtraError

Sampler = Callable[[np.random.Generator, int, int], np.ndarray]


def _low_rank(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    rank = max(1, min(tasks, parameters) // 2)
    return rng.standard_normal((tasks, rank)) @ rng.standard_normal((rank, parameters))


def _opposed(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    return np.where(np.arange(tasks) % 2, -1.0, 1.0)[:, None] * rng.standard_normal(parameters)


def _nearly_opposed(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    return _opposed(rng, tasks, parameters) + 1e-4 * rng.standard_normal((tasks, parameters))


def _zero_rows(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    return rng.standard_normal((tasks, parameters)) * (np.arange(tasks) % 2)[:, None]


def _duplicates(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    return rng.standard_normal(((tasks + 1) // 2, parameters))[rng.permutation(tasks) // 2]


def _decades(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    return rng.standard_normal((tasks, parameters)) * 10.0 ** rng.uniform(-6, 6, (tasks, 1))


def _balanced(rng: np.random.Generator, tasks: int, parameters: int) -> np.ndarray:
    """A positive combination of the rows is 0: the parameters are Pareto stationary."""
    rows = rng.standard_normal((tasks, parameters))
    shares = rng.uniform(0.2, 1.0, (tasks, 1))
    rows[-1] = -(shares[:-1] * rows[:-1]).sum(axis=0) / shares[-1]
    return rows


FAMILIES: dict[str, Sampler] = {
    "dense": lambda rng, tasks, parameters: rng.standard_normal((tasks, parameters)),
    "agreeing": lambda rng, tasks, parameters: rng.uniform(0.1, 1.0, (tasks, parameters)),
    "decades": _decades,
    "low rank": _low_rank,
    "one line": lambda rng, tasks, parameters: np.outer(rng.standard_normal(tasks), rng.standard_normal(parameters)),
    "duplicates": _duplicates,
    "zero rows": _zero_rows,
    "zero": lambda _, tasks, parameters: np.zeros((tasks, parameters)),
    "opposed": _opposed,
    "nearly opposed": _nearly_opposed,
    "balanced": _balanced,
}

# Families on which a method's answer is unique and does not hang on the last digit.
WELL_POSED = ("dense", "agreeing")
EVERY = tuple(FAMILIES)


@dataclass(frozen=True, slots=True)
class Case:
    """One Jacobian, described by what it takes to make it again."""

    family: str
    tasks: int
    parameters: int
    exponent: int = 0
    seed: int = 0

    @property
    def rng(self) -> np.random.Generator:
        """A generator of this case's own numbers beyond its Jacobian."""
        return np.random.default_rng([self.seed, 1])

    def jacobian(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the Jacobian ``[tasks, parameters]``, of size ``10 ** exponent``."""
        rows = FAMILIES[self.family](np.random.default_rng([self.seed, 0]), self.tasks, self.parameters)
        return torch.from_numpy(rows * 10.0**self.exponent).to(dtype)


def explore(
    check: Callable[[Case], None],
    *,
    families: tuple[str, ...] = EVERY,
    exponents: tuple[int, ...] = (0,),
    smallest: int = 1,
    examples: int = 25,
) -> None:
    """Call ``check`` on ``examples`` drawn cases of up to 8 tasks, and on one of 64; show the simplest that fails.

    Raises:
        MissingExtraError: hypothesis, which draws and simplifies the cases, is not installed.
    """
    try:
        from hypothesis import HealthCheck, example, given, settings
        from hypothesis import strategies as some
    except ImportError as missing:
        raise MissingExtraError("accord.testing", "testing", "hypothesis") from missing
    cases = some.builds(
        Case,
        family=some.sampled_from(families),
        tasks=some.integers(smallest, 8),
        parameters=some.integers(3, 20),
        exponent=some.sampled_from(exponents),
        seed=some.integers(0, 2**31),
    )

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @example(Case(families[0], 64, 96, exponents[0]))
    @given(cases)
    def run(case: Case) -> None:
        check(case)

    run()
