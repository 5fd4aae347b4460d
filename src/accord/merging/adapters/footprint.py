"""How much memory a merge of adapters takes, before it takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accord.merging.adapters.dense import entries_of, threads_of
from accord.merging.adapters.factors import Factors
from accord.merging.adapters.looking import METHOD, PRECISION
from accord.merging.adapters.products import shape_of
from accord.merging.contributions import look_bytes
from accord.merging.memory import SLACK, per_thread, shared
from accord.merging.merging_method import MergingMethod

DOUBLE = 8
HELD = 3  # the result's factors, the same as long as the widest, and the file they are written to


def footprint(
    modules: Mapping[str, Sequence[Factors | None]], method: MergingMethod, *, summed: bool, rank: int, itemsize: int
) -> tuple[int, int]:
    """Return the most anonymous memory that :func:`accord.merging.merge_adapters` takes, in bytes.

    The first number is without what the largest matrix and its decomposition take, which no limit can avoid; the second
    is with them, and enough for a look at the result afterwards, :func:`accord.merging.adapters.looking.brought`.

    Args:
        modules: the factors of every module.
        method: what merges.
        summed: whether it is a weighted sum, of which nothing is multiplied out.
        rank: of the result at most.
        itemsize: bytes of a number of the result.
    """
    shapes = [shape_of(parts) for parts in modules.values()]
    held = HELD * rank * sum(rows + width for rows, width in shapes) * itemsize
    if summed:
        joined = [sum(part.rank for part in parts if part is not None) for parts in modules.values()]
        own = SLACK + held
        return own, max(own + max(map(_factored, shapes, joined)), _looking(modules))
    entries = entries_of(method, modules)
    own = SLACK + held + threads_of(method) * per_thread(entries) + shared(entries)
    return own, max(own + max(map(_decomposed, shapes)), _looking(modules))


def _looking(modules: Mapping[str, Sequence[Factors | None]]) -> int:
    """Return what comparing all changes takes: blocks of them, and the factors that they are worked out from."""
    blocks = max(look_bytes(entry) for entry in entries_of(METHOD, modules, PRECISION))
    factors = max(part.rank * sum(shape_of([part])) for parts in modules.values() for part in parts if part is not None)
    return SLACK + threads_of(METHOD) * (blocks + DOUBLE * factors)


def _factored(shape: tuple[int, int], joined: int) -> int:
    """Return what two QR decompositions of joined factors and the decomposition between them take."""
    return DOUBLE * (4 * joined * sum(shape) + 8 * joined * joined)


def _decomposed(shape: tuple[int, int]) -> int:
    """Return what a matrix and its singular value decomposition take."""
    rows, width = shape
    least = min(shape)
    return DOUBLE * (3 * rows * width + least * (rows + width) + 5 * least * least)
