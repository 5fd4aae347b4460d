"""One backward of weighted losses whose gradients several processes sum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from accord.engines._autograd import add_to_grad
from accord.engines._call import Call
from accord.engines._guard import guarded
from accord.engines._health import magnitudes, not_finite
from accord.engines._team import Roots


def descend_jointly(call: Call, slopes: Sequence[float], chosen: Sequence[bool]) -> dict[int, float]:
    """Accumulate the gradient of ``slopes @ losses`` over all processes, and return the tasks that were left out.

    A task whose gradient is not finite on one process is left out on all. The others have by then seen its gradient
    from healthy processes, so the backward is repeated without it; for that the graph is kept to the end of the step.

    Communication: one all-reduce of all parameters' gradients (none under ``fully_shard``, which did it), T + 1
    numbers per backward.
    """
    tasks = len(chosen)
    wanted = [*call.shared, *(call.others or ())]
    out: dict[int, float] = {}
    while True:
        left = [task for task, on in enumerate(chosen) if on and task not in out]
        found, ill = call.team.attempt(partial(_descend, call, _roots(call, left, slopes), wanted), tasks)
        if not ill and call.team.sharded:
            ill = _culprits(call, left, slopes, found)
        if not ill:
            break
        out |= ill
    gains = [(parameter, gradient) for parameter, gradient in zip(wanted, found, strict=True) if gradient is not None]
    if len(out) < sum(chosen):
        for parameter, gradient in call.team.settle(wanted, gains):
            add_to_grad(parameter, gradient)
    return out


def _descend(call: Call, roots: Roots, wanted: Sequence[Tensor]) -> tuple[tuple[Tensor | None, ...], dict[int, float]]:
    """Return this process's gradients of ``wanted``, and the tasks whose own are not finite."""
    with guarded(call.graph) as seen:
        found = call.team.pull(roots, wanted, keep=True)
    return found, not_finite(_sizes(call, seen, wanted, found))


def _roots(call: Call, tasks: Sequence[int], slopes: Sequence[float]) -> Roots:
    # Tasks of weight 0 start too: their heads receive zeros, as they do on one process.
    here = [(task, edge) for task, edge in call.objectives.started() if task in tasks]
    return [edge for _, edge in here], [call.objectives.cotangent(task, slopes[task]) for task, _ in here]


def _sizes(
    call: Call, seen: dict[int, list[Tensor]], wanted: Sequence[Tensor], found: Sequence[Tensor | None]
) -> dict[int, list[Tensor]]:
    """Return ``seen``, what wanted to pass from heads to trunk by task, with the sizes of the heads' own gradients."""
    gradients = {id(parameter): gradient for parameter, gradient in zip(wanted, found, strict=True)}
    sizes = {task: list(several) for task, several in seen.items()}
    for task, _ in call.objectives.started():
        own = magnitudes([gradients.get(id(leaf)) for leaf in call.graph.leaves[task]])
        sizes.setdefault(task, []).extend(own)
    return sizes


def _culprits(
    call: Call, tasks: Sequence[int], slopes: Sequence[float], found: Sequence[Tensor | None]
) -> dict[int, float]:
    """Return the tasks behind gradients that are not finite, which shards cannot be told apart by: one by one."""
    count, others = len(slopes), call.others or ()
    if not call.team.everywhere(not_finite({0: magnitudes(found)}), count):
        return {}
    ill: dict[int, float] = {}
    for task in tasks:
        ill |= not_finite({task: magnitudes(call.team.pull(_roots(call, [task], slopes), others, keep=True))})
    return call.team.everywhere(ill, count)
