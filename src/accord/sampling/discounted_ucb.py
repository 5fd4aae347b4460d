"""Upper confidence bounds that forget."""

from __future__ import annotations

from typing import ClassVar

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.upper_confidence import UpperConfidence


class DiscountedUCB(UpperConfidence):
    """UCB for means that change: sums and counts fade by ``discount`` with every reward.

    Chooses the highest ``mean_k + 2 sqrt(exploration ln n / n_k)`` over discounted sums, where ``n = sum n_k`` is at
    most ``1 / (1 - discount)``. A task that was left alone grows uncertain again and is tried again. Over ``horizon``
    draws with ``changes`` of the means the paper takes ``discount = 1 - sqrt(changes / horizon) / 4``, for a regret of
    the order ``sqrt(changes * horizon) ln horizon``.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        discount: in (0, 1).
        exploration: above 1/2 for the bound on the regret.
        seed: unused by the choice; part of every sampler's state.

    Source: Garivier and Moulines, On Upper-Confidence Bound Policies for Switching Bandit Problems, 2011 (D-UCB; its
    padding is ``2 B sqrt(xi ln n / n_k)`` for rewards in [0, B], here with B = 1 and ``exploration`` for ``xi``). The
    default discount is the rule above for two changes in 10,000 draws. SMPyBandits pads by
    ``sqrt(alpha ln n / (2 n_k))``, which with its default alpha of 1 is half of what the bound on the regret asks for.
    """

    method: ClassVar[Method] = Method(
        title="Discounted UCB",
        paper="On Upper-Confidence Bound Policies for Switching Bandit Problems",
        year=2011,
        url="https://arxiv.org/abs/0805.3415",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )

    def __init__(self, tasks: int, discount: float = 0.9965, exploration: float = 0.6, seed: int = 0) -> None:
        if not 0.0 < discount < 1.0 or not exploration > 0.0:
            raise ConfigurationError(
                f"needs a discount between 0 and 1 and exploration above 0; got {discount} and {exploration}"
            )
        super().__init__(tasks, discount, 4.0 * exploration, seed)
        self.exploration = exploration

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}, discount={self.discount}, exploration={self.exploration}"
