"""One of each sampler for any number of tasks, and news that all of them can use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from accord.sampling import (
    UCB,
    AutomatedCurriculum,
    Capped,
    CompetenceCurriculum,
    Cooldown,
    DiscountedUCB,
    Exp3,
    Exp3S,
    InfluenceMatrix,
    PiKE,
    Proportional,
    Sampler,
    SonGoku,
    Temperature,
    Thompson,
    UncertaintyAware,
    Uniform,
    UniMax,
    Unmixed,
)
from accord.sampling.mixture import Mix


def sizes(tasks: int) -> list[int]:
    return [10 * 3**task for task in range(tasks)]


MIXTURES: dict[str, Callable[[int, Mix], Sampler]] = {
    "proportional": lambda tasks, mix: Proportional(sizes(tasks), mix=mix),
    "uniform": lambda tasks, mix: Uniform(tasks, mix=mix),
    "temperature": lambda tasks, mix: Temperature(sizes(tasks), mix=mix),
    "capped": lambda tasks, mix: Capped(sizes(tasks), limit=80, mix=mix),
    "uni_max": lambda tasks, mix: UniMax(sizes(tasks), rows=100, mix=mix),
    "cooldown": lambda tasks, mix: Cooldown(sizes(tasks), start=2, end=6, mix=mix),
    "competence_curriculum": lambda tasks, mix: CompetenceCurriculum(range(tasks), steps=6, mix=mix),
    "uncertainty_aware": lambda tasks, mix: UncertaintyAware(sizes(tasks), mix=mix),
    "pi_ke": lambda tasks, mix: PiKE([1.0] * tasks, rows=16, balance=1.0, mix=mix),
}
OTHERS: dict[str, Callable[[int], Sampler]] = {
    "unmixed": lambda tasks: Unmixed([1.0] * tasks),
    "exp3": lambda tasks: Exp3(tasks, horizon=100),
    "exp3s": lambda tasks: Exp3S(tasks, horizon=100),
    "automated_curriculum": lambda tasks: AutomatedCurriculum(tasks, rate=0.1, memory=4),
    "ucb": UCB,
    "discounted_ucb": lambda tasks: DiscountedUCB(tasks, discount=0.9),
    "thompson": lambda tasks: Thompson(tasks, discount=0.9),
    "influence_matrix": lambda tasks: InfluenceMatrix(Exp3(tasks, horizon=100), period=2),
    "son_goku": lambda tasks: SonGoku(tasks, period=3, threshold=0.0),
}
SAMPLERS: dict[str, Callable[[int], Sampler]] = {
    **{f"{name}-{mix}": lambda tasks, make=make, mix=mix: make(tasks, mix)
       for name, make in MIXTURES.items() for mix in ("rows", "shares", "unmixed")},
    **OTHERS,
}  # fmt: skip


def tell(sampler: Sampler, counts: Tensor, step: int) -> None:
    """Tell the sampler made-up news of a step that had these counts: the same for the same step."""
    generator = np.random.default_rng(step)
    gradients = torch.from_numpy(generator.normal(size=(sampler.tasks, 3)))
    absent = torch.where(counts > 0, 0.0, torch.nan)
    sampler.observe(
        losses=torch.from_numpy(generator.random(sampler.tasks)) + absent,
        rewards=torch.from_numpy(generator.random(sampler.tasks)) + absent,
        gramian=gradients @ gradients.T,
        variances=torch.from_numpy(generator.random(sampler.tasks)),
        gradient=gradients[int(counts.argmax())],
    )
