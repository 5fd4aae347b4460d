"""Numbers about measurements: JSON lines, peak memory, medians and intervals."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO


class Lines:
    """Writes one JSON object per line to ``stream`` and, when given, appends it to the file ``path``."""

    def __init__(self, path: Path | None, stream: TextIO = sys.stdout) -> None:
        self.path, self.stream = path, stream

    def write(self, measure: str, **fields: Any) -> None:
        """Write one measurement, with the load of the machine at that moment beside it."""
        line = json.dumps({"benchmark": "tabular", "measure": measure, **fields, "load": round(os.getloadavg()[0], 2)})
        print(line, file=self.stream, flush=True)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def peak_mib() -> float:
    """Return this process's peak resident memory in MiB.

    ``VmHWM`` and not ``ru_maxrss``: the latter survives ``exec`` and so would count the parent's pages.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the mean and the half-width of its Student interval (0 for fewer than two values)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, 0.0
    from scipy.stats import t  # a second of imports that fresh processes must not be charged with

    error = statistics.stdev(values) / len(values) ** 0.5
    return mean, float(t.ppf(0.5 + confidence / 2, len(values) - 1)) * error


def difference_interval(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return mean(a) - mean(b) and the half-width of its Welch interval over seeds."""
    difference = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) < 2:
        return difference, 0.0
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    if va + vb == 0:
        return difference, 0.0
    from scipy.stats import t

    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return difference, float(t.ppf(0.5 + confidence / 2, freedom)) * (va + vb) ** 0.5
