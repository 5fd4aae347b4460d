"""Choose an engine by structure, or by trying."""

from __future__ import annotations

from accord.engines._apart import apart
from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._slim import slim
from accord.engines._trials import Trials
from accord.engines.batched import Batched
from accord.engines.grouped import Grouped
from accord.engines.layerwise import LayerwiseGramian
from accord.engines.loop import Loop
from accord.errors import ConfigurationError

Signature = tuple[object, ...]

# Numbers in the middling tensor of a graph below which an accelerator waits for its host most of the time.
_SMALL = 2**18


class Auto(Engine):
    """The first of these that fits; all are exact, so choices differ in time and memory alone.

    1. Every task selects samples of its own before its head, and the Gramian suffices: :class:`Grouped`.
    2. T·P numbers exceed ``memory``, or from 16 tasks on a quarter of it where linear layers own nearly all of them and
       little flows in between, and the Gramian suffices: :class:`LayerwiseGramian`.
    3. On an accelerator, operations are small: :class:`Batched`.
    4. Everything else: :class:`Loop`.

    An engine that meets an operation it does not know is passed over for the next. The choice depends on shapes alone
    and not on timings, so that runs repeat to the last bit; ``measure`` gives that up for speed. Hooks on tensors
    inside the trunk act under ``Loop`` and ``Batched`` only: name one of these where a model has such hooks. Those on
    parameters are noticed.

    With ``measure=True`` all engines that fit are tried, two steps each, and the fastest stays for steps like these
    (same tasks, shapes and device). One whose Gramian is not that of ``Loop`` in the first step is out, so hooks are
    safe. Processes may choose differently, since each computes its own rows.

    On the CPU ``Loop`` is fastest or close to it with the models of ``benchmarks/engines.py``; accelerators have not
    been measured.

    Attributes:
        chosen: the engine that was last used, by kind of step; keep the object to look.

    Args:
        measure: whether to try.
        memory: bytes that a Jacobian may take.
    """

    name = "auto"

    def __init__(self, *, measure: bool = False, memory: int = 2**30) -> None:
        self.measure, self.memory = measure, memory
        self.chosen: dict[Signature, Engine] = {}
        self._trials: dict[Signature, Trials] = {}

    def differentiate(self, problem: Problem) -> Derivatives:
        key = signature(problem)
        if self.measure:
            trials = self._trials.setdefault(key, Trials())
            found, self.chosen[key] = trials.differentiate(problem, self.fitting(problem))
            return found
        for engine in self.fitting(problem):
            try:
                found = engine.differentiate(problem)
            except ConfigurationError:
                if isinstance(engine, Loop):
                    raise
                continue
            self.chosen[key] = engine
            return found
        raise AssertionError("Loop is always the last")

    def fitting(self, problem: Problem) -> list[Engine]:
        """Return the engines that fit, the likeliest first and :class:`Loop` last."""
        engines: list[Engine] = []
        size = sum(tensor.numel() * tensor.element_size() for tensor in problem.shared)
        if not problem.rows and apart(problem):
            engines.append(Grouped())
        size *= len(problem.objectives.started())
        if not problem.rows and (self.measure or size > self.memory or (4 * size > self.memory and slim(problem))):
            engines.append(LayerwiseGramian())
        if problem.shared[0].device.type != "cpu" and (self.measure or _small(problem)):
            engines.append(Batched())
        return [*engines, Loop()]

    def __repr__(self) -> str:
        names = ", ".join(sorted({engine.name for engine in self.chosen.values()}))
        return f"Auto({'measure=True, ' if self.measure else ''}chosen: {names or 'nothing yet'})"


def signature(problem: Problem) -> Signature:
    """Return what two steps must have in common to be expected to take the same time."""
    shapes = tuple(tuple(tensor.shape) for tensor in problem.shared)
    active = tuple(edge is not None for edge in problem.objectives.edges)
    return shapes, active, len(problem.graph.owner), problem.rows, len(problem.groups), problem.shared[0].device


def _small(problem: Problem) -> bool:
    sizes = sorted(
        meta.shape.numel() for node in problem.graph.owner for meta in node._input_metadata if len(meta.shape)
    )
    return bool(sizes) and sizes[len(sizes) // 2] < _SMALL
