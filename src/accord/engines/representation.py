"""Gradients at the shared representation only."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from accord.engines._deferred import Deferred
from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._graph import COMMON
from accord.engines._health import magnitudes, not_finite
from accord.engines._linear_heads import linear_heads
from accord.engines._pages import stack_apart
from accord.engines._products import products
from accord.engines._split import split
from accord.engines.loop import Loop
from accord.errors import ConfigurationError


class Representation(Engine):
    """The Gramian of the losses' gradients at the representation that the heads read, in place of the parameters.

    The trunk's backward is linear, so the length of a combined gradient here bounds its length at the parameters up to
    a constant (Sener & Koltun, "Multi-Task Learning as Multi-Objective Optimization", 2018, section 3.3). It is an
    approximation: norms and angles at the parameters differ. The update itself is exact for the weights found.

    Where the representation is, is read off the graph: the places where tasks enter what they have in common. Trunk
    parameters that a head uses directly are not seen.

    Cost: all heads once, T² times the size of the representation, and one ordinary backward; independent of P. Where
    all heads begin with a narrow linear layer, on the CPU, the T gradients at the representation are never formed.
    """

    name = "representation"

    def differentiate(self, problem: Problem) -> Derivatives:
        started = problem.objectives.started()
        if len(started) < 2:
            return Loop().differentiate(problem)
        narrow = linear_heads(problem)
        if narrow is not None:
            return narrow
        parts = split(replace(problem, keep=True))
        if not parts.border or any(problem.graph.owner[edge.node] == COMMON for _, edge in started):
            raise ConfigurationError(
                "no representation can be told from the graph: the losses come out of one expression, or have no "
                'computation in common; use engine="loop", with at=[representation] for the same economy'
            )
        blocks = [_rows([row[u] for row in parts.cotangents]) for u in range(len(parts.border))]
        gramian = products(blocks, problem.objectives.active)
        # What a head does to a shared parameter itself is not measured, but it must be finite.
        for task, size in not_finite({task: magnitudes(row) for task, row in enumerate(parts.direct)}).items():
            gramian[task] = gramian[:, task] = size - size
        return Deferred(problem, gramian, parts.heads)


def _rows(cotangents: list[Tensor | None]) -> Tensor:
    like = next(gradient for gradient in cotangents if gradient is not None)
    whole = [torch.zeros_like(like) if gradient is None else gradient for gradient in cotangents]
    # Of a complex representation, the inner products of real and imaginary parts.
    real = [torch.view_as_real(gradient) if gradient.is_complex() else gradient for gradient in whole]
    return stack_apart([gradient.reshape(-1) for gradient in real])
