"""Differentiate models whose parameters hide inside reentrant checkpoints."""

from __future__ import annotations

from torch import Tensor, autograd

from accord.engines._autograd import explained
from accord.engines._engine import Engine, Problem, columns
from accord.engines._hooks import refuse_waiting_hooks
from accord.engines._rows import Rows, empty_rows


class Captured(Engine):
    """One plain ``.backward()`` per task, whose effect on the shared parameters' ``.grad`` is taken back.

    A checkpoint with ``use_reentrant=True`` runs a backward of its own, which accumulates into ``.grad`` of parameters
    that are in no graph. So every loss starts with the factor that heads are to receive: parameters outside
    ``shared``, known or hidden, have then received their gradient once all tasks have run. The price: a task whose
    gradient turns out not to be finite has by then reached its own head.

    Args:
        factor: what heads receive of each loss.
    """

    name = "captured"

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def differentiate(self, problem: Problem) -> Rows:
        objectives, shared = problem.objectives, problem.shared
        refuse_waiting_hooks("a checkpoint with use_reentrant=True", shared)
        parts = columns(shared)
        whole = empty_rows(len(objectives.names), shared)
        reached = [False] * len(shared)
        started = objectives.started()
        before = [tensor.grad for tensor in shared]
        try:
            for task, edge in started:
                for tensor in shared:
                    tensor.grad = None
                with explained():
                    keep = problem.keep or task != started[-1][0]
                    autograd.backward([edge], [objectives.cotangent(task, self._factor)], retain_graph=keep)  # pyright: ignore
                for position, (part, tensor) in enumerate(zip(parts, shared, strict=True)):
                    if tensor.grad is not None:
                        reached[position] = True
                        whole[task, part] = tensor.grad.reshape(-1) / self._factor
        finally:
            for tensor, grad in zip(shared, before, strict=True):
                tensor.grad = grad
        heads: list[tuple[Tensor | None, ...]] = [()] * len(objectives.names)
        blocks = [whole[:, part] if hit else None for part, hit in zip(parts, reached, strict=True)]
        return Rows(shared, blocks, heads, objectives.active, whole, problem.groups)
