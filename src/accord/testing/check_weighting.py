"""One call that checks a weighting."""

from __future__ import annotations

from collections.abc import Iterable

from accord.testing.claims import named
from accord.testing.weighting_contract import CONTRACT, WEIGHTING_CLAIMS, Factory


def check_weighting(factory: Factory, claims: Iterable[str] = (), *, examples: int = 25) -> None:
    """Check that a weighting keeps the contract of :class:`accord.balancer.Weighting`, and what it claims besides.

    The contract: finite, non-negative weights from positive losses of any scale; an objective whose slope is the
    weights; inactive tasks weigh 0 and leave no trace; ``state_dict`` resumes bit for bit.

    Args:
        factory: makes a fresh instance for a number of tasks, the same each time.
        claims: names out of :data:`WEIGHTING_CLAIMS`, for properties that only some methods have.
        examples: drawn cases per property.

    Raises:
        AssertionError: a property does not hold; hypothesis adds the simplest case that shows it.
        ConfigurationError: a claim is unknown.
        MissingExtraError: hypothesis is not installed.
    """
    for property_ in (*CONTRACT, *named(WEIGHTING_CLAIMS, claims)):
        property_(factory, examples)
