"""All tasks in one vectorised backward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accord.engines._autograd import pull
from accord.engines._engine import Engine, Problem
from accord.engines._rows import Rows
from accord.engines._split import Split, split
from accord.engines.loop import dense
from accord.errors import ConfigurationError

# Gradients of one vectorised backward: enough to keep a device busy, little beside activations.
_BUDGET = 2**30


class Batched(Engine):
    """Every operation of the trunk is differentiated once, for several tasks at a time.

    The heads run one by one; the trunk's backward then carries a leading task dimension (``is_grads_batched``). On the
    CPU this rarely beats :class:`Loop`, since big operations are already saturated and some are looped over inside;
    it is meant for devices where launching small operations is what costs.

    Cost: one backward whose tensors are ``chunk`` times as large, T/chunk times; T·P numbers.

    Args:
        chunk: tasks per backward; as many as keep their gradients under 1 GiB when ``None``.

    Raises:
        ConfigurationError: an operation has no rule for a task dimension (some custom functions, compiled modules).
    """

    name = "batched"

    def __init__(self, chunk: int | None = None) -> None:
        if chunk is not None and chunk < 1:
            raise ConfigurationError(f"chunk is {chunk}; it counts tasks per backward, at least 1")
        self.chunk = chunk

    def differentiate(self, problem: Problem) -> Rows:
        parts = split(problem)
        active = [task for task, _ in problem.objectives.started()]
        size = self.chunk or max(1, _BUDGET // max(1, sum(p.numel() * p.element_size() for p in problem.shared)))
        blocks: list[Tensor | None] = [None] * len(problem.shared)
        for start in range(0, len(active), size):
            tasks = active[start : start + size]
            keep = problem.keep or start + size < len(active)
            for position, rows in enumerate(_trunk(parts, tasks, problem.shared, keep)):
                blocks[position] = _place(blocks[position], rows, tasks, problem, problem.shared[position])
        for position, like in enumerate(problem.shared):
            blocks[position] = _add_direct(blocks[position], [row[position] for row in parts.direct], like)
        return Rows(problem.shared, blocks, parts.heads, problem.objectives.active, groups=problem.groups)


def _trunk(parts: Split, tasks: Sequence[int], shared: Sequence[Tensor], keep: bool) -> tuple[Tensor | None, ...]:
    """Return by shared tensor the gradients ``[len(tasks), *shape]`` that come through the trunk."""
    entered = [u for u in range(len(parts.border)) if any(parts.cotangents[task][u] is not None for task in tasks)]
    edges = [parts.border[u] for u in entered]
    stacks = [_stack([parts.cotangents[task][u] for task in tasks]) for u in entered]
    if len(tasks) == 1:
        found = pull(edges, [stack[0] for stack in stacks], shared, keep=keep)
        return tuple(None if gradient is None else dense(gradient)[None] for gradient in found)
    try:
        return pull(edges, stacks, shared, keep=keep, batched=True)
    except ConfigurationError:
        raise
    except (RuntimeError, NotImplementedError, ValueError) as error:
        raise ConfigurationError(
            f"a part of the model has no vectorised backward ({str(error).splitlines()[0]}); "
            'use engine="loop", or Batched(chunk=1)'
        ) from error


def _stack(cotangents: list[Tensor | None]) -> Tensor:
    like = next(c for c in cotangents if c is not None)
    return torch.stack([torch.zeros_like(like) if c is None else c for c in cotangents])


def _place(
    block: Tensor | None, rows: Tensor | None, tasks: Sequence[int], problem: Problem, like: Tensor
) -> Tensor | None:
    if rows is None:
        return block
    flat = rows.reshape(len(tasks), -1)
    if len(tasks) == len(problem.objectives.names):
        return flat
    block = like.new_zeros(len(problem.objectives.names), like.numel()) if block is None else block
    block[list(tasks)] = flat
    return block


def _add_direct(block: Tensor | None, direct: list[Tensor | None], like: Tensor) -> Tensor | None:
    """Return ``block`` plus what reached this parameter from the heads without passing the trunk."""
    if all(gradient is None for gradient in direct):
        return block
    rows = like.new_zeros(len(direct), like.numel())
    for row, gradient in zip(rows, direct, strict=True):
        if gradient is not None:
            row.copy_(dense(gradient).reshape(-1))
    return rows if block is None else rows.add_(block)
