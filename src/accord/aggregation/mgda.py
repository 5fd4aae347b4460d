"""The steepest descent common to all tasks."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.errors import ConfigurationError, suggest
from accord.linalg import min_norm_weights, normalise
from accord.method import Method

Normalisation = Literal["none", "l2"]


class MGDA(StatelessGramianAggregator):
    """Take the shortest vector in the convex hull of the gradients: ``min_w |sum_i w_i g_i|``, ``w`` on the simplex.

    It has an inner product of at least ``|d|^2`` with every gradient, so no task objects, and it is 0 exactly where the
    parameters are Pareto stationary. A task with a small gradient therefore holds the step small, and one whose
    gradient is 0 stops it; leave a task that is absent from a step out with ``active`` instead of giving it a loss of
    0.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative, summing to 1. Where several
    weights give the same vector (duplicate or dependent gradients) one of them is returned. Cost O(T^3) after the
    Gramian.

    Args:
        normalisation: ``"none"``, or ``"l2"`` to look for the shortest vector between gradients of equal length. The
            weights then do not depend on the losses' scales, and a small gradient no longer rules. They are applied to
            the gradients as they are, as in the code of Sener and Koltun: ``d = sum_i w_i g_i`` for the ``w`` that
            minimises ``|sum_i w_i g_i / |g_i||``. That ``d`` may conflict where gradients differ in
            length, and depends on which weights are returned where several are right (dependent gradients).

    Sources: Désidéri, C. R. Acad. Sci. 2012; Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization,
    2018. The latter's code and its descendants run Frank-Wolfe or a projected search for a fixed number of steps, which
    is off by an order of magnitude once gradient norms spread over three decades; here the quadratic programme is
    solved by an active set method. Two more of their normalisations, by the loss and by the loss times the length,
    need losses, which an aggregator is not shown. The first is taken where losses are made: the gradients of
    ``losses.log()`` are those divided by their losses.
    """

    method: ClassVar[Method] = Method(
        title="MGDA",
        paper="Multiple-gradient descent algorithm (MGDA) for multiobjective optimization",
        year=2012,
        url="https://doi.org/10.1016/j.crma.2012.03.014",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def __init__(self, normalisation: Normalisation = "none") -> None:
        super().__init__()
        if normalisation not in get_args(Normalisation):
            hint = suggest(str(normalisation), get_args(Normalisation))
            raise ConfigurationError(f"MGDA has no normalisation {normalisation!r}. {hint}")
        self.normalisation = normalisation

    def solve(self, gramian: Tensor) -> Tensor:
        matrix = gramian.numpy()
        return torch.from_numpy(min_norm_weights(normalise(matrix)[0] if self.normalisation == "l2" else matrix))

    def extra_repr(self) -> str:
        return f"normalisation={self.normalisation!r}"
