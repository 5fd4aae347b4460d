"""Choose an engine by structure."""

from __future__ import annotations

from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines.loop import Loop


class Auto(Engine):
    """The engine that is fastest for most models and works for all: at present :class:`Loop`, on every device.

    On a CPU with the 4x1024 perceptron of ``benchmarks/engines.py`` one backward per task took less processor time than
    one vectorised backward at T = 8 and 16, about the same at T = 2, and less memory at all of them. Other models and
    accelerators have not been measured; try ``engine="batched"`` where operations are small.
    """

    name = "auto"

    def differentiate(self, problem: Problem) -> Derivatives:
        return Loop().differentiate(problem)
