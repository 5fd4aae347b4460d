"""Many methods under the same conditions: equal effort for each, and what may be said about the result."""

from accord.comparing.crew import Crew
from accord.comparing.holm import holm
from accord.comparing.ranks import Ranking, rank
from accord.comparing.run import Outcome, run_study
from accord.comparing.signed_rank import Posterior, signed_rank
from accord.comparing.spec import CompareSpec, parse_compare
from accord.comparing.study import Study, begin

__all__ = [
    "CompareSpec",
    "Crew",
    "Outcome",
    "Posterior",
    "Ranking",
    "Study",
    "begin",
    "holm",
    "parse_compare",
    "rank",
    "run_study",
    "signed_rank",
]
