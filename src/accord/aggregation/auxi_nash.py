"""Auxiliary learning as an asymmetric bargaining game: helping tasks whose say is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.nash_mtl import bargained
from accord.aggregation.preference import checked_preference
from accord.balancer import GramianAggregator, solve_active
from accord.errors import ConfigurationError, NonFiniteError
from accord.linalg import bargain, normalise, precision
from accord.method import Method

# The longest gradient by which powers are moved, as in the authors' code.
LONGEST = 1.0


class AuxiNash(GramianAggregator):
    """Bargain as :class:`~accord.aggregation.NashMTL` does, with bargaining powers that a held-out loss teaches.

    With Gramian ``G`` the weights solve ``G a = p / a``, ``a > 0``. The powers ``p`` are positive and sum to T. The
    tasks are there to help one of them, and powers descend its loss ``V`` on held-out rows: a step along ``J' a``
    changes it by ``-v' a`` with ``v = J grad V``, and ``da / dp = (G + diag(p / a^2))^-1 diag(1 / a)``. Now and then,
    in a loop of your own::

        accord.backward(losses, shared=params, balancer=balancer)
        if step % 25 == 0:
            balancer.update(accord.gramian([*fresh_losses, held_out_main_loss], shared=params))

    Without calls of :meth:`update`, as under ``accord fit``, powers stay what they are, and equal ones are Nash-MTL.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative. Cost O(T^3) times about five;
    an update's, ``T + 1`` backwards and O(T^3). State: ``p`` and its momentum.

    Args:
        powers: ``[T]`` powers to start from, only ratios count; equal if ``None``.
        rate: of the powers' descent, 0 or more.
        momentum: of that descent, in [0, 1).
        floor: the least power, above 0 and below 1, before they are brought back to their sum.

    Source: Shamsian et al., Auxiliary Learning as an Asymmetric Bargaining Game, 2023 (rate 0.005, momentum 0.9, floor
    1e-4, an update every 25 steps, gradients of powers cut to length 1: the authors' code). The paper looks at the
    parameters that training would converge to, by an inverse Hessian, for which the code sums four terms of a series
    with step 1e-4. The first of them is this step's effect and is what is taken here; the others differ from it by
    rounding unless curvature nears 1e4, and cost three Hessian products. ``V``'s gradient counts with length 1, so that
    the losses' units play no part in how fast powers move. Heads descend the mean loss, as under every aggregator;
    under the authors' code their loss is weighted too. For the update's scale see NashMTL.
    """

    method: ClassVar[Method] = Method(
        title="AuxiNash",
        paper="Auxiliary Learning as an Asymmetric Bargaining Game",
        year=2023,
        url="https://arxiv.org/abs/2301.13501",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3); T + 1 more per update",
        catalogue=(780,),
    )
    powers: Tensor
    velocity: Tensor

    def __init__(
        self,
        powers: Sequence[float] | Tensor | None = None,
        rate: float = 5e-3,
        momentum: float = 0.9,
        floor: float = 1e-4,
    ) -> None:
        super().__init__()
        if not 0.0 <= rate < math.inf:
            raise ConfigurationError(f"rate must be a finite number of at least 0, 0.005 for one; got {rate}")
        if not 0.0 <= momentum < 1.0:
            raise ConfigurationError(f"momentum must lie in [0, 1), 0.9 for one; got {momentum}")
        if not 0.0 < floor < 1.0:
            raise ConfigurationError(f"floor must lie between 0 and 1, 1e-4 for one; got {floor}")
        self.rate, self.momentum, self.floor = rate, momentum, floor
        given = checked_preference(powers)
        self.register_buffer("powers", given if not given.numel() else self._on_scale(given, float(len(given))))
        self.register_buffer("velocity", torch.zeros_like(self.powers))

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        self._set_up(len(gramian))
        share = self.powers.cpu() if active is None else self.powers.cpu()[active.cpu()]
        return solve_active(lambda part: bargained(part, share / share.sum()), gramian, active)

    def update(self, gramian: Tensor, *, active: Tensor | None = None) -> None:
        """Move the powers one step down the held-out loss.

        Args:
            gramian: ``[T + 1, T + 1]`` inner products of the tasks' gradients and, last, the held-out loss's, at one
                and the same point; see :func:`accord.gramian`. Best on other rows than those of the last step.
            active: ``[T]`` bool, the tasks that have a gradient there (all when ``None``); others keep their power.

        Raises:
            NonFiniteError: a gradient is not finite; nothing has changed.
        """
        tasks = len(gramian) - 1
        if tasks < 1:
            raise ConfigurationError(
                "update takes the Gramian of all tasks' losses and, last, of the held-out one: "
                "accord.gramian([*losses, held_out], shared=...)"
            )
        self._set_up(tasks)
        kept = np.arange(tasks) if active is None else active.cpu().numpy().nonzero()[0]
        chosen = np.append(kept, tasks)
        matrix = gramian.detach().to("cpu", torch.float64).numpy()[np.ix_(chosen, chosen)]
        if not np.isfinite(matrix).all():
            wrong = [int(chosen[i]) for i in np.nonzero(~np.isfinite(np.diagonal(matrix)))[0]]
            raise NonFiniteError(
                f"the gradients in rows {wrong or chosen.tolist()} of update's Gramian are not finite (row {tasks} is "
                "the held-out loss): skip this update"
            )
        part = self.powers.cpu()[kept]
        slope = torch.from_numpy(power_gradient(matrix, part.numpy()))
        slope *= min(1.0, LONGEST / max(float(slope.norm()), LONGEST))
        velocity, powers = self.velocity.cpu().clone(), self.powers.cpu().clone()
        velocity[kept] = self.momentum * velocity[kept] + slope
        powers[kept] = self._on_scale(part - self.rate * velocity[kept], float(part.sum()))
        self.velocity, self.powers = velocity.to(self.velocity.device), powers.to(self.powers.device)

    def _on_scale(self, powers: Tensor, total: float) -> Tensor:
        above = powers.clamp(min=self.floor)
        return above / above.sum() * total

    def _set_up(self, tasks: int) -> None:
        if not self.powers.numel():
            self.powers, self.velocity = self.powers.new_ones(tasks), self.velocity.new_zeros(tasks)
        if len(self.powers) != tasks:
            raise ConfigurationError(
                f"AuxiNash has powers for {len(self.powers)} tasks but was given {tasks}; "
                "always show it the same tasks, and those that are absent with active="
            )

    def extra_repr(self) -> str:
        return f"rate={self.rate}, momentum={self.momentum}, floor={self.floor}"


def power_gradient(gramian: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return the slope ``[T]`` in each power of ``-v' a``, the first-order change of a held-out loss.

    Args:
        gramian: ``[T + 1, T + 1]``, the held-out loss last; its gradient counts with length 1.
        powers: ``[T]``, positive. A task without a gradient gets slope 0.
    """
    cosines, norms = normalise(gramian)
    seats = norms[:-1] > 0
    slope = np.zeros(len(powers))
    if seats.any():
        block, power = cosines[:-1, :-1][np.ix_(seats, seats)], powers[seats]
        # In b = a n the equation reads K b = p / b: the scales of the gradients cancel.
        found = bargain(block, np.log(power), rounding=precision(gramian))
        towards = np.linalg.solve(block + np.diag(power / found**2), cosines[:-1, -1][seats])
        slope[seats] = -towards / found
    return slope
