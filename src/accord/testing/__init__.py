"""A kit for people who write their own balancers: one call checks a method as Accord checks its own.

Needs hypothesis: ``pip install "accord[testing]"``.
"""

from accord.testing.aggregator_claims import AGGREGATOR_CLAIMS
from accord.testing.cases import FAMILIES, Case, explore
from accord.testing.check_aggregator import check_aggregator
from accord.testing.check_weighting import check_weighting
from accord.testing.weighting_contract import WEIGHTING_CLAIMS

__all__ = [
    "AGGREGATOR_CLAIMS",
    "FAMILIES",
    "WEIGHTING_CLAIMS",
    "Case",
    "check_aggregator",
    "check_weighting",
    "explore",
]
