"""Test problems whose fronts are known in closed form, to check a method of finding fronts against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Problem:
    """Objectives of a vector, all to be minimised, with the answer.

    Attributes:
        name: what the literature calls it.
        variables: n.
        bounds: lowest and highest value of every variable.
        objectives: ``[..., n]`` -> ``[..., m]``, differentiable.
        front: number of points -> ``[k, m]`` points of the Pareto front, spread along it.
        volume: the exact hypervolume of the front for a reference with the same number ``r`` in every objective.
        concave: whether no weighted sum reaches the inside of the front.
    """

    name: str
    variables: int
    bounds: tuple[float, float]
    objectives: Callable[[Tensor], Tensor]
    front: Callable[[int], Tensor]
    volume: Callable[[float], float]
    concave: bool


def vlmop1(variables: int = 1) -> Problem:
    """Return two paraboloids: ``mean (x - 1)^2`` and ``mean x^2``; a convex front (Van Veldhuizen 1999, scaled)."""
    return Problem(
        "VLMOP1",
        variables,
        (-2.0, 2.0),
        lambda x: torch.stack([((x - 1) ** 2).mean(-1), (x**2).mean(-1)], dim=-1),
        lambda count: _curve(torch.linspace(0, 1, count, dtype=torch.float64), lambda t: ((1 - t) ** 2, t**2)),
        # Below the curve (1 - sqrt(f2))^2 lies 1/6 of the unit square.
        lambda r: r**2 - 1 / 6,
        concave=False,
    )


def vlmop2(variables: int = 2) -> Problem:
    """Return two bells on a diagonal, whose front is concave (Van Veldhuizen 1999; Fonseca and Fleming 1995)."""

    def objectives(x: Tensor) -> Tensor:
        centre = 1.0 / math.sqrt(variables)
        return torch.stack([-torch.expm1(-((x + side * centre) ** 2).sum(-1)) for side in (-1, 1)], dim=-1)

    def curve(t: Tensor) -> tuple[Tensor, Tensor]:
        return -torch.expm1(-((t - 1) ** 2)), -torch.expm1(-((t + 1) ** 2))

    return Problem(
        "VLMOP2",
        variables,
        (-2.0, 2.0),
        objectives,
        lambda count: _curve(torch.linspace(-1, 1, count, dtype=torch.float64), curve),
        _vlmop2_volume,
        concave=True,
    )


def _vlmop2_volume(r: float) -> float:
    # The part of [0, r]^2 above f2 = 1 - exp(-(2 - sqrt(-log(1 - f1)))^2), which ends at f1 = 1 - exp(-4).
    from scipy.integrate import quad  # not at start-up

    end = -math.expm1(-4.0)
    under, _ = quad(lambda t: -math.expm1(-((t + 1) ** 2)) * 2 * (1 - t) * math.exp(-((t - 1) ** 2)), -1, 1)
    if r < end:
        raise ValueError(f"the volume is known for references of at least {end:.5f} in each objective; got {r}")
    return r * r - under


def zdt1(variables: int = 30) -> Problem:
    """Return ZDT1 (Zitzler, Deb and Thiele 2000): a convex front ``f2 = 1 - sqrt(f1)``."""
    return _zdt("ZDT1", variables, lambda ratio: 1 - ratio.clamp(min=1e-12).sqrt(), lambda r: r * r - 1 / 3, False)


def zdt2(variables: int = 30) -> Problem:
    """Return ZDT2 (Zitzler, Deb and Thiele 2000): a concave front ``f2 = 1 - f1^2``."""
    return _zdt("ZDT2", variables, lambda ratio: 1 - ratio**2, lambda r: r * r - 2 / 3, True)


def _zdt(
    name: str, variables: int, shape: Callable[[Tensor], Tensor], volume: Callable[[float], float], concave: bool
) -> Problem:
    def objectives(x: Tensor) -> Tensor:
        first = x[..., 0]
        g = 1 + 9 * x[..., 1:].mean(-1)
        return torch.stack([first, g * shape(first / g)], dim=-1)

    def front(count: int) -> Tensor:
        return _curve(torch.linspace(0, 1, count, dtype=torch.float64), lambda t: (t, shape(t)))

    return Problem(name, variables, (0.0, 1.0), objectives, front, volume, concave)


def dtlz2(objectives: int = 3, variables: int = 12) -> Problem:
    """Return DTLZ2 (Deb, Thiele, Laumanns and Zitzler 2002): the part of the unit sphere in the positive orthant."""

    def evaluate(x: Tensor) -> Tensor:
        angles = x[..., : objectives - 1] * (math.pi / 2)
        radius = 1 + ((x[..., objectives - 1 :] - 0.5) ** 2).sum(-1)
        columns, left = [], radius
        for angle in angles.unbind(-1):
            columns.append(left * torch.sin(angle))
            left = left * torch.cos(angle)
        return torch.stack([left, *reversed(columns)], dim=-1)

    def front(count: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        rays = torch.randn(count, objectives, generator=generator, dtype=torch.float64).abs()
        return rays / torch.linalg.vector_norm(rays, dim=1, keepdim=True)

    ball = math.pi ** (objectives / 2) / math.gamma(objectives / 2 + 1) / 2**objectives
    return Problem("DTLZ2", variables, (0.0, 1.0), evaluate, front, lambda r: r**objectives - ball, concave=True)


def _curve(t: Tensor, of: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    return torch.stack(of(t), dim=-1)
