"""How probable it is that one method is better, practically equal, or worse: the Bayesian signed-rank test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STRENGTH = 0.5
SAMPLES = 20_000
# Numbers in one chunk of weights.
CHUNK = 4_000_000


@dataclass(frozen=True)
class Posterior:
    """Probabilities that sum to 1."""

    worse: float
    equal: float
    better: float


def signed_rank(differences: Sequence[float], rope: float, *, samples: int = SAMPLES, seed: int = 0) -> Posterior:
    """Return what paired ``differences`` say about a difference beyond the region of practical equivalence.

    The distribution of differences has a Dirichlet process prior: one pseudo-observation of 0 with strength 0.5 beside
    the observations. Each posterior draw ``w`` gives the three regions the mass of the pairwise means that fall into
    them, ``sum_ij w_i w_j [(z_i + z_j) / 2 in region]``; the answer is how often each region has the largest mass, ties
    going to equality first.

    Args:
        differences: ``[n]`` finite numbers, positive where the first method is better.
        rope: half width of the region in which a difference does not matter, 0 or more, in the same unit.
        samples: draws of the posterior; the answer's Monte Carlo error is at most ``0.5 / sqrt(samples)``.
        seed: of the draws.

    Cost: O(samples n^2).

    Source: Benavoli, Corani, Demsar, Zaffalon, Time for a Change: a Tutorial for Comparing Multiple Classifiers Through
    Bayesian Analysis, 2017.
    """
    z = np.concatenate([[0.0], np.asarray(differences, np.float64)])
    means = (z[:, None] + z[None, :]) / 2
    regions = np.stack([np.abs(means) <= rope, means < -rope, means > rope]).astype(np.float64)
    prior = np.concatenate([[STRENGTH], np.ones(len(z) - 1)])
    rng = np.random.default_rng(seed)
    wins = np.zeros(3)
    per_chunk = max(1, CHUNK // len(z))
    for start in range(0, samples, per_chunk):
        # Dirichlet weights up to their sum, which does not change who is largest.
        weights = rng.standard_gamma(prior, (min(per_chunk, samples - start), len(z)))
        mass = np.stack([((weights @ region) * weights).sum(1) for region in regions])
        wins += np.bincount(mass.argmax(0), minlength=3)
    equal, worse, better = (wins / samples).tolist()
    return Posterior(worse, equal, better)
