"""Many methods under the same conditions: equal effort for each, and what may be said about the result."""

from accord.comparing.holm import holm
from accord.comparing.ranks import Ranking, rank
from accord.comparing.signed_rank import Posterior, signed_rank

__all__ = ["Posterior", "Ranking", "holm", "rank", "signed_rank"]
