"""Choose an engine by structure."""

from __future__ import annotations

from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines.loop import Loop


class Auto(Engine):
    """The engine that is fastest for most models and works for all: at present :class:`Loop`, on every device.

    On CPUs that is measured (``benchmarks/engines.py``): one vectorised backward was slower than one backward per task
    on a residual network and a transformer and equal on wide layers, at T = 2 to 40, and it needs more memory. On
    accelerators nothing has been measured yet; try ``engine="batched"`` there when operations are small.
    """

    name = "auto"

    def differentiate(self, problem: Problem) -> Derivatives:
        return Loop().differentiate(problem)
