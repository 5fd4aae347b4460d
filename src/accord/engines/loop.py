"""One backward per task: works for anything, and the reference for the other engines."""

from __future__ import annotations

from torch import Tensor

from accord.engines._autograd import pull
from accord.engines._engine import Engine, Problem, columns
from accord.engines._rows import Rows, empty_rows
from accord.errors import ConfigurationError


class Loop(Engine):
    """Row t of the Jacobian is the gradient of loss t, from an ordinary backward of that loss alone.

    Cost: T backwards and T·P numbers; no second pass. Exact, and whatever autograd can differentiate works.
    """

    name = "loop"

    def differentiate(self, problem: Problem) -> Rows:
        objectives, shared = problem.objectives, problem.shared
        parts = columns(shared)
        whole = empty_rows(len(objectives.names), shared, inner=not problem.rows)
        reached = [False] * len(shared)
        heads: list[tuple[Tensor | None, ...]] = [()] * len(objectives.names)
        started = objectives.started()
        for task, edge in started:
            keep = problem.keep or task != started[-1][0]
            gradients = pull([edge], [objectives.cotangent(task)], [*shared, *problem.own[task]], keep=keep)
            heads[task] = gradients[len(shared) :]
            for position, (part, gradient) in enumerate(zip(parts, gradients, strict=False)):
                if gradient is not None:
                    reached[position] = True
                    whole[task, part] = dense(gradient).reshape(-1)
        blocks = [whole[:, part] if hit else None for part, hit in zip(parts, reached, strict=True)]
        return Rows(shared, blocks, heads, objectives.active, whole, problem.groups)


def dense(gradient: Tensor) -> Tensor:
    """Return ``gradient`` if it is an ordinary tensor.

    Raises:
        ConfigurationError: it is sparse, so a row per task over the whole table would defeat its purpose.
    """
    if gradient.is_sparse:
        raise ConfigurationError(
            f"a shared parameter of shape {list(gradient.shape)} has sparse gradients, and one dense row per task "
            "would be made of them: use sparse=False in this embedding, or leave it out of shared"
        )
    return gradient
