"""Adam on a handful of numbers whose state is in buffers."""

from __future__ import annotations

from torch import Tensor

# Decay rates of the moments, and the guard against slopes of 0, in units of a slope.
FIRST, SECOND, GUARD = 0.9, 0.999, 1e-8


def adam(slope: Tensor, seen: Tensor, moments: Tensor, updates: Tensor) -> Tensor:
    """Return Adam's direction ``[k]`` for the k entries in ``seen``, and move their state on in place.

    Args:
        slope: ``[k]``, gradients of those entries.
        seen: ``[T]`` bool; the others' state stays as it is.
        moments: ``[2, T]`` running means of gradients and of their squares.
        updates: ``[T]`` how often each entry was seen.
    """
    updates[seen] += 1
    first = FIRST * moments[0, seen] + (1 - FIRST) * slope
    second = SECOND * moments[1, seen] + (1 - SECOND) * slope**2
    moments[0, seen], moments[1, seen] = first, second
    spread = (second / (1 - SECOND ** updates[seen])).sqrt()
    return first / (1 - FIRST ** updates[seen]) / (spread + GUARD)
