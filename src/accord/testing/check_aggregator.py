"""One call that checks an aggregator."""

from __future__ import annotations

from collections.abc import Iterable

from accord.testing.aggregator_claims import AGGREGATOR_CLAIMS
from accord.testing.aggregator_contract import CONTRACT, Factory
from accord.testing.claims import named


def check_aggregator(factory: Factory, claims: Iterable[str] = (), *, examples: int = 25) -> None:
    """Check that an aggregator keeps the contract of :class:`accord.balancer.Aggregator`, and what it claims besides.

    The contract: finite directions from any finite Jacobian (rank deficient, zero, opposed, over 12 decades, at 1e-20
    and 1e20, float64 to bfloat16, one task and 64); ``A(c J) = c A(J)``; one task keeps its gradient; inactive tasks
    play no part; non-finite ones are named; ``state_dict`` resumes bit for bit.

    Args:
        factory: makes a fresh instance, the same each time.
        claims: names out of :data:`AGGREGATOR_CLAIMS`, for properties that only some methods have.
        examples: drawn cases per property.

    Raises:
        AssertionError: a property does not hold; hypothesis adds the simplest case that shows it.
        ConfigurationError: a claim is unknown.
        MissingExtraError: hypothesis is not installed.
    """
    for property_ in (*CONTRACT, *named(AGGREGATOR_CLAIMS, claims)):
        property_(factory, examples)
