"""The steepest descent common to all tasks."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.known_losses import known_losses
from accord.balancer import GramianAggregator, solve_active
from accord.errors import ConfigurationError, suggest
from accord.linalg import min_norm_weights, normalise
from accord.method import Method

Normalisation = Literal["none", "l2", "loss", "loss+"]

# The least divisor, as a fraction of the largest loss: as good as 0, and its inverse squared is still a number.
TINY = 1e-60


class MGDA(GramianAggregator):
    """Take the shortest vector in the convex hull of the gradients: ``min_w |sum_i w_i g_i|``, ``w`` on the simplex.

    It has an inner product of at least ``|d|^2`` with every gradient, so no task objects, and it is 0 exactly where the
    parameters are Pareto stationary. A task with a small gradient therefore holds the step small, and one whose
    gradient is 0 stops it; leave a task that is absent from a step out with ``active`` instead of giving it a loss of
    0.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative, summing to 1. Where several
    weights give the same vector (duplicate or dependent gradients) one of them is returned. Cost O(T^3) after the
    Gramian.

    Args:
        normalisation: by what each gradient is divided before the shortest vector is looked for: ``"none"``; ``"l2"``,
            its length ``|g_i|``; ``"loss"``, its loss ``L_i``; ``"loss+"``, ``L_i |g_i|``. The weights then do not
            depend on the losses' scales (``"l2"`` and ``"loss"``), and a small gradient no longer rules. They are
            applied to the gradients as they are, as in the code of Sener and Koltun, so ``d`` may conflict where the
            divisors differ, and depends on which weights are returned where several are right (dependent gradients).
            The last two need ``losses``, which :func:`accord.backward` gives, and which must not be negative; one of 0
            counts as 1e-60 times the largest, and they are all alike if all are 0.

    Raises:
        ConfigurationError: in a step, if losses are needed and missing or negative.

    Sources: Désidéri, C. R. Acad. Sci. 2012; Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization,
    2018. The latter's code and its descendants run Frank-Wolfe or a projected search for a fixed number of steps, which
    is off by an order of magnitude once gradient norms spread over three decades; here the quadratic programme is
    solved by an active set method. One descendant moves by the gradients that it has divided, so that the step takes
    the unit of the divisor; the original moves by those of the losses, and so do we. Heads descend the mean loss: the
    paper leaves their losses unweighted, its code weights them as it does the trunk's.
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

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        values = None
        if self.normalisation.startswith("loss"):
            asked = f"MGDA({self.normalisation!r}) divides by the losses"
            values = known_losses(losses, active, asked, 'normalisation="l2", which does not look at them').numpy()
        return solve_active(lambda part: torch.from_numpy(self._solve(part.numpy(), values)), gramian, active)

    def _solve(self, gramian: np.ndarray, losses: np.ndarray | None) -> np.ndarray:
        if self.normalisation in ("l2", "loss+"):
            gramian = normalise(gramian)[0]
        if losses is not None and losses.any():
            share = losses.max() / np.maximum(losses, TINY * losses.max())
            gramian = share[:, None] * gramian * share
        return min_norm_weights(gramian)

    def extra_repr(self) -> str:
        return f"normalisation={self.normalisation!r}"
