"""How much of each task's batch this process holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from accord.errors import ConfigurationError, suggest

Counts = Mapping[str, float] | Sequence[float] | Tensor


def read_counts(counts: Counts | None, names: Sequence[str]) -> tuple[float, ...]:
    """Return by task how many samples its loss stands for on this process; nothing when nothing was said.

    Raises:
        ConfigurationError: other tasks than ``names``, or a number that counts nothing.
    """
    if counts is None:
        return ()
    if isinstance(counts, Mapping):
        for name in counts:
            if name not in names:
                raise ConfigurationError(f"counts names the task {name!r}, which is unknown. {suggest(name, names)}")
        given = [float(counts.get(name, 0.0)) for name in names]
    else:
        given = [float(n) for n in (counts.tolist() if isinstance(counts, Tensor) else counts)]
    if len(given) != len(names):
        raise ConfigurationError(f"counts has {len(given)} entries for {len(names)} tasks: {', '.join(names)}")
    for name, number in zip(names, given, strict=True):
        if not (math.isfinite(number) and number >= 0):
            raise ConfigurationError(f"counts gives task {name!r} {number} samples; a number of samples is 0 or more")
    return tuple(given)
