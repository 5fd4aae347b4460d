"""Mean ranks over blocks, and which methods the blocks can tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from accord.comparing.holm import holm

Pair = tuple[str, str]


@dataclass(frozen=True)
class Ranking:
    """Methods in the order of their mean ranks.

    Attributes:
        mean: mean rank by method, 1 is best; ties share their ranks.
        blocks: how many blocks ranked them.
        needed: with fewer blocks no pair can be told apart, however clear the difference: ``2^(1 - n)`` is the least
            p-value of n blocks.
        friedman: p-value of Friedman's test that all methods are alike; ``None`` for two methods.
        critical_difference: of Nemenyi's test: mean ranks further apart than this differ.
        pairs: p-values of Wilcoxon's signed-rank test, corrected by Holm's method.
        cliques: maximal runs of neighbouring methods none of which differs from another by those p-values.
    """

    mean: dict[str, float]
    blocks: int
    needed: int
    friedman: float | None
    critical_difference: float
    pairs: dict[Pair, float]
    cliques: list[list[str]]

    @property
    def enough(self) -> bool:
        """Whether there are blocks enough to tell anything apart."""
        return self.blocks >= self.needed


def rank(scores: Mapping[str, Sequence[float]], *, level: float = 0.05) -> Ranking:
    """Rank methods by their scores on the same blocks.

    Args:
        scores: by method ``[n]`` finite numbers, one per block in the same order; more is better. At least two methods.
        level: chance of any false alarm among all pairs.

    Cost: O(k^2 n log n) for k methods.

    Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006. Pairs are judged by Wilcoxon's
    test, as Benavoli et al., Should We Really Use Post-Hoc Tests Based on Mean-Ranks?, 2016, advise: whether two
    methods differ then depends on no third one. Nemenyi's critical difference is given for comparison.
    """
    from scipy.stats import friedmanchisquare, rankdata

    table = np.array([scores[name] for name in scores], np.float64)
    count, blocks = table.shape
    means = dict(zip(scores, rankdata(-table, axis=0).mean(1).tolist(), strict=True))
    ordered = sorted(means, key=lambda name: means[name])
    pairs = holm({(a, b): _wilcoxon(np.subtract(scores[a], scores[b])) for a, b in combinations(ordered, 2)})
    friedman = None
    if count > 2:
        same = bool((table == table[0]).all())
        friedman = 1.0 if same or blocks < 2 else float(friedmanchisquare(*table).pvalue)
    return Ranking(
        {name: means[name] for name in ordered},
        blocks,
        blocks_needed(count, level),
        friedman,
        critical_difference(count, blocks, level),
        pairs,
        _cliques(ordered, pairs, level),
    )


def blocks_needed(methods: int, level: float) -> int:
    """Return the least n with ``2^(1 - n)`` below ``level`` divided by the number of pairs."""
    return math.floor(math.log2(math.comb(methods, 2) / level)) + 2


def critical_difference(methods: int, blocks: int, level: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks, ``q sqrt(k (k + 1) / (6 n))``."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def _wilcoxon(differences: np.ndarray) -> float:
    from scipy import stats

    # Pratt's way keeps zeros among the ranks: dropping them would make near-equal methods look different.
    return float(np.asarray(stats.wilcoxon(differences, zero_method="pratt"))[1]) if differences.any() else 1.0


def _cliques(ordered: Sequence[str], pairs: Mapping[Pair, float], level: float) -> list[list[str]]:
    found: list[list[str]] = []
    reached = 0
    for start in range(len(ordered)):
        end = start + 1
        while end < len(ordered) and all(pairs[ordered[i], ordered[end]] >= level for i in range(start, end)):
            end += 1
        if end > reached and end - start > 1:
            found.append(list(ordered[start:end]))
        reached = max(reached, end)
    return found
