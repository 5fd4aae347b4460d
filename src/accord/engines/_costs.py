"""What a layer's Gramian and update cost in each of three ways."""

from __future__ import annotations

from typing import Literal

Way = Literal["samples", "keep", "drop"]

# In units of one multiplication inside a large product, measured on one core of a Xeon with AVX-512 in float32.
_FLAT = 1.6  # multiplication in the product of T long rows with themselves
_SYMMETRIC = 0.65  # the same between samples, of which half are computed
_ELEMENT = 4.0  # multiplying and adding up the products between samples
_FRESH = 50.0  # writing a number into memory that is new to the process, and reading it twice


def cheapest(rows: int, inner: int, outer: int, tasks: int, *, by_samples: bool = True, room: bool = True) -> Way:
    """Return the cheapest way to the Gramian and the update of a weight with ``inner x outer`` entries.

    Args:
        rows: R rows of inputs ``[R, inner]`` and gradients ``[R, outer]``.
        inner: number of inputs.
        outer: number of outputs.
        tasks: T.
        by_samples: whether inner products between rows are available.
        room: whether T gradients may be kept.

    Returns:
        ``"samples"``: products between rows, and one product for the update.
        ``"keep"``: one gradient per task; the update is a sum of these.
        ``"drop"``: one gradient per task, dropped at once; one more product for the update.
    """
    weight = inner * outer
    by_tasks = weight * (rows + _FLAT * tasks * tasks + _FRESH * tasks) + (0 if room else rows * weight)
    between = rows * rows * (_SYMMETRIC * (inner + outer) + _ELEMENT) + rows * weight
    if by_samples and between < by_tasks:
        return "samples"
    return "keep" if room else "drop"
