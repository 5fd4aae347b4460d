"""How much memory a merge takes, before it takes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from accord.errors import ConfigurationError
from accord.merging.block import BLOCK, STRETCH
from accord.merging.engine import block_length
from accord.merging.entry import Entry
from accord.merging.lazy import LazyTensor
from accord.merging.matrix_method import MatrixMethod

MEGABYTE = 1 << 20
# Besides three for each model (task vectors, what is kept of them, masks): base, magnitudes, signs, sums, the result.
SHARED_BUFFERS = 12
# What compiled loops write a stretch to: the result in bfloat16, and numbers within a bracket in float32.
STRETCHED = STRETCH * (2 + 4)
SLACK = 48 * MEGABYTE  # the interpreter's own growth, thread stacks, states of checksums


def anonymous() -> int:
    """Return the bytes of this process's memory that are no mapped file; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return 0


def per_thread(entries: Sequence[Entry]) -> int:
    """Return the most bytes that one thread holds at a time: its work buffers, and a survey of the largest tensor."""
    most = 0
    for entry in entries:
        length = max(block_length(entry), BLOCK)
        buffers = STRETCHED + (SHARED_BUFFERS + 3 * len(entry.models)) * length * entry.arithmetic.itemsize
        if isinstance(entry.method, MatrixMethod) and entry.method.is_matrix(entry.name, entry.shape):
            buffers = _matrix_bytes(entry.method, entry)
        buffers += _lazy_bytes(entry, length)
        most = max(most, buffers + _survey_bytes(entry, entry.elements, "tensor"))
    return most


def _lazy_bytes(entry: Entry, length: int) -> int:
    """Return what working out a block of the widest lazy tensor takes: own rows, the change of them, and their sum."""
    sources = (*entry.models, *([] if entry.base is None else [entry.base]))
    widest = max((source.width for source in sources if isinstance(source, LazyTensor)), default=-1)
    return 3 * (length + 2 * widest) * 8 if widest >= 0 else 0


def _matrix_bytes(method: MatrixMethod, entry: Entry) -> int:
    # Base, model, what is merged and what it is stored as; then what the method itself makes.
    buffers = 4 * entry.elements * entry.arithmetic.itemsize
    rows, columns = entry.shape
    return buffers + 8 * method.work(rows, columns, len(entry.models))


def shared(entries: Sequence[Entry]) -> int:
    """Return the bytes of surveys of the whole model; what they found is small."""
    merged = [entry for entry in entries if entry.copy is None]
    first = {repr(entry.method): entry for entry in reversed(merged) if entry.method.scope == "model"}
    return max((_survey_bytes(e, sum(x.elements for x in merged), "model") for e in first.values()), default=0)


def _survey_bytes(entry: Entry, elements: int, scope: str) -> int:
    if entry.method.scope != scope or not elements or entry.copy is not None:
        return 0
    survey = entry.method.survey(len(entry.models), elements, entry.base is not None)
    if survey is None:
        return 0
    sample = elements // survey.stride * entry.arithmetic.itemsize * (1 + len(entry.models))
    columns = survey.column_bytes * math.prod(entry.shape[1:])
    return survey.bytes + columns + (sample if survey.stride > 1 else 0)


def threads_within(entries: Sequence[Entry], threads: int, limit: int) -> tuple[int, int]:
    """Return how many threads, ``threads`` at most, fit into ``limit`` bytes, and the peak that is then expected.

    The limit is one on the merge's own memory: mapped input is the page cache's, and what the process holds already is
    its caller's. The peak is of all anonymous memory of the process.

    Raises:
        ConfigurationError: not even one fits.
    """
    fixed = SLACK + shared(entries)
    each = per_thread(entries)
    fitting = min(threads, (limit - fixed) // each) if each else threads
    if fitting < 1:
        check_limit(fixed + each, limit)
    return fitting, anonymous() + fixed + fitting * each


def check_limit(needed: int, limit: int) -> None:
    """Raise a :class:`ConfigurationError` if a merge needs more than it may take."""
    if needed > limit:
        raise ConfigurationError(
            f"this merge needs {needed / MEGABYTE:.0f} MB of memory besides the page cache, and may take "
            f"{limit / MEGABYTE:.0f} MB; raise the limit"
        )
