"""Who gives way in a conflict of two gradients, and how far: the surgery inside GCond, on inner products."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# A gradient of which surgery has left less than this part is gone.
GONE = 1e-12
# Cosines this near below the weak threshold are rounding: what a projection has brought to 0 is no conflict again.
ROUNDING = 1e-12


@dataclass
class Arbitrator:
    """Decides conflicts between gradients that are combinations of unit gradients.

    Attributes:
        turned: ``[n, n]`` inner products of the unit gradients with the previous ones' directions.
        usual: ``[n]`` running lengths of the gradients.
        stability: what steadiness counts for.
        who: ``[n]`` names of the gradients that last from step to step.
        winners: the names of the latest winners, oldest first, -1 for none yet; moves on with every conflict.
    """

    turned: np.ndarray
    usual: np.ndarray
    stability: float
    who: np.ndarray
    winners: list[int] = field(default_factory=list)

    def decide(self, i: int, j: int, mixed: np.ndarray, lengths: np.ndarray) -> tuple[int, int]:
        """Return winner and loser of ``i`` and ``j``, given their combinations ``[n, n]`` and lengths ``[n]`` now."""
        winner, loser = self._by_habit(i, j) or self._by_score(i, j, mixed, lengths)
        if self.winners:
            self.winners = [*self.winners[1:], int(self.who[winner])]
        return winner, loser

    def _by_habit(self, i: int, j: int) -> tuple[int, int] | None:
        habitual = set(self.winners)  # -1 among them until the window is full
        if habitual == {self.who[i]}:
            return j, i
        return (i, j) if habitual == {self.who[j]} else None

    def _by_score(self, i: int, j: int, mixed: np.ndarray, lengths: np.ndarray) -> tuple[int, int]:
        pair = np.array([i, j])
        steady = np.maximum((mixed[pair] * self.turned[:, pair].T).sum(axis=1) / lengths[pair], 0.0)
        strength = lengths[pair] / self.usual[pair]
        score = self.stability * steady + (1.0 - self.stability) * strength / strength.sum()
        return (j, i) if score[1] > score[0] else (i, j)


def conduct(
    cosines: np.ndarray,
    lengths: np.ndarray,
    arbitrator: Arbitrator,
    thresholds: tuple[float, float, float],
    power: float | None,
) -> np.ndarray:
    """Return what is left of each gradient, as combinations of unit gradients ``[n, n]``.

    Args:
        cosines: ``[n, n]`` of the gradients; 0 for a zero one.
        lengths: ``[n]`` of the gradients.
        arbitrator: of this step.
        thresholds: cosines (critical, main, weak).
        power: of the smooth angle; ``None`` for zones.
    """
    mixed = np.diag(lengths)
    for _ in range(2 * len(lengths)):
        products = mixed @ cosines @ mixed.T
        now = np.sqrt(np.maximum(np.diagonal(products), 0.0))
        i, j, cosine = _worst(products, now, now > GONE * lengths)
        if cosine >= thresholds[2] - ROUNDING:
            break
        mild = power is None and cosine >= thresholds[1]
        winner, loser = (i, j) if mild else arbitrator.decide(i, j, mixed, now)
        parts = zoned(cosine, thresholds) if power is None else angled(cosine, thresholds, power)
        if parts is None:
            mixed[loser] = 0.0
            continue
        onto = products[i, j] / now[[loser, winner]] ** 2 * parts
        mixed[[winner, loser]] -= onto[:, None] * mixed[[loser, winner]]
    return mixed


def _worst(products: np.ndarray, now: np.ndarray, there: np.ndarray) -> tuple[int, int, float]:
    """Return the pair with the least cosine, the first of several, and that cosine; infinity without a pair."""
    scale = np.where(there, now, 1.0)
    allowed = np.triu(np.outer(there, there), 1)
    angles = np.where(allowed, products / scale[:, None] / scale, np.inf)
    i, j = np.unravel_index(np.argmin(angles), angles.shape)
    return int(i), int(j), float(angles[i, j])


def angled(cosine: float, thresholds: tuple[float, float, float], power: float) -> np.ndarray:
    """Return which parts of their projections on each other winner and loser lose, for a cosine below the weak one."""
    critical, main, weak = thresholds
    if cosine >= main:
        angle = np.pi / 2 * (weak - cosine) / (weak - main)
    elif cosine > critical:
        angle = np.pi / 2 * (1.0 + ((cosine - main) / (critical - main)) ** power)
    else:
        angle = np.pi
    return np.sin([angle, min(angle, np.pi / 2)])


def zoned(cosine: float, thresholds: tuple[float, float, float]) -> np.ndarray | None:
    """Return the same by zones; ``None`` where the loser is dropped."""
    critical, main, _ = thresholds
    if cosine < critical:
        return None
    return np.array([0.0, 1.0]) if cosine < main else np.array([1.0, 1.0])
