"""One backward per task: works for anything, and the reference for the other engines."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from accord.engines._autograd import pull
from accord.engines._engine import Derivatives, Engine, Problem, columns
from accord.engines._kept import Kept
from accord.engines._rows import Rows, empty_rows
from accord.errors import ConfigurationError

Heads = list[tuple[Tensor | None, ...]]
# Bytes of gradients that are kept as they are; more of them in one piece.
KEPT = 2**26


class Loop(Engine):
    """Row t of the Jacobian is the gradient of loss t, from an ordinary backward of that loss alone.

    Cost: T backwards and T·P numbers; no second pass. Exact, and whatever autograd can differentiate works.
    """

    name = "loop"

    def differentiate(self, problem: Problem) -> Derivatives:
        objectives = problem.objectives
        heads: list[tuple[Tensor | None, ...]] = [()] * len(objectives.names)
        kept = not problem.rows and _size(problem) <= KEPT
        return self._kept(problem, heads) if kept else self._whole(problem, heads)

    def _kept(self, problem: Problem, heads: Heads) -> Kept:
        tasks = problem.objectives.names
        found: list[list[Tensor | None]] = [[None] * len(tasks) for _ in problem.shared]
        for task, gradients in _gradients(problem, heads):
            for own, gradient in zip(found, gradients, strict=True):
                own[task] = None if gradient is None else dense(gradient).reshape(-1)
        return Kept(found, heads, problem.objectives.active, problem.groups)

    def _whole(self, problem: Problem, heads: Heads) -> Rows:
        shared, tasks = problem.shared, problem.objectives.names
        parts, reached = columns(shared), [False] * len(shared)
        whole = empty_rows(len(tasks), shared, inner=not problem.rows)
        for task, gradients in _gradients(problem, heads):
            for position, (part, gradient) in enumerate(zip(parts, gradients, strict=True)):
                if gradient is not None:
                    reached[position] = True
                    whole[task, part] = dense(gradient).reshape(-1)
        blocks = [whole[:, part] if hit else None for part, hit in zip(parts, reached, strict=True)]
        return Rows(shared, blocks, heads, problem.objectives.active, whole, problem.groups)


def _size(problem: Problem) -> int:
    """Return the bytes of the Jacobian."""
    return len(problem.objectives.started()) * sum(one.numel() * one.element_size() for one in problem.shared)


def _gradients(problem: Problem, heads: Heads) -> Iterator[tuple[int, tuple[Tensor | None, ...]]]:
    """Yield each active task with its gradients of the shared parameters; those of its own go to ``heads``."""
    started, count = problem.objectives.started(), len(problem.shared)
    for task, edge in started:
        keep = problem.keep or task != started[-1][0]
        wanted = [*problem.shared, *problem.own[task]]
        gradients = pull([edge], [problem.objectives.cotangent(task)], wanted, keep=keep)
        heads[task] = gradients[count:]
        yield task, gradients[:count]


def dense(gradient: Tensor) -> Tensor:
    """Return ``gradient`` if it is an ordinary tensor.

    Raises:
        ConfigurationError: it is sparse, so a row per task over the whole table would defeat its purpose.
    """
    if gradient.is_sparse:
        raise ConfigurationError(
            f"a shared parameter of shape {list(gradient.shape)} has sparse gradients, and one dense row per task "
            "would be made of them: use sparse=False in this embedding, leave it out of shared, or, where the Gramian "
            'suffices and there is no group=, pass engine="gramian"'
        )
    return gradient
