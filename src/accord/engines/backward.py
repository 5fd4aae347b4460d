"""One call in place of ``loss.backward()``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from accord.balancer import Aggregator, Balancer, Weighting
from accord.engines._aggregate import aggregate
from accord.engines._assemble import assemble, check_alone
from accord.engines._autograd import explained
from accord.engines._call import Call
from accord.engines._counts import Counts
from accord.engines._engine import Engine
from accord.engines._objectives import Losses, read_losses
from accord.engines._pages import keep_freed
from accord.engines._processes import find_processes
from accord.engines._registry import find_engine
from accord.engines._scaling import read_scale
from accord.engines._scope import plain_arithmetic
from accord.engines._shared import Shared, read_groups, read_parameters
from accord.engines._weigh import weigh
from accord.engines.per_group import PerGroup
from accord.engines.step import Step
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def backward(
    losses: Losses,
    shared: Shared,
    balancer: Balancer,
    *,
    task_parameters: Iterable[Tensor] | None = None,
    at: Iterable[Tensor] | None = None,
    tasks: Sequence[str] | None = None,
    engine: str | Engine = "auto",
    retain_graph: bool = False,
    scaler: GradScaler | None = None,
    group: ProcessGroup | Literal["local"] | None = None,
    counts: Counts | None = None,
) -> Step:
    """Accumulate balanced gradients into ``.grad``, as ``loss.backward()`` does for one loss.

    Under an aggregator, ``shared`` parameters receive its direction, and all other parameters that the losses reach
    receive the gradient of the mean loss of the tasks that take part (or of the sum, see
    :class:`~accord.balancer.Aggregator`).
    Under a weighting, everything receives the gradient of ``balancer.objective``, the weighting's own parameters
    included. Calls accumulate, so micro-batches work as usual; parameters that no loss reaches keep ``.grad`` as it is.

    A task takes no part in the step when its loss is ``None``, missing, constant or not finite, or when its gradient is
    not finite; the result says why, and no other task's parameters, and no shared ones, see its numbers.

    Args:
        losses: tensor ``[T]``, or a sequence or mapping of scalars; ``None`` where a task has no loss in this step.
        shared: the parameters to balance; frozen ones are skipped. As a mapping from names to parameters they are in
            groups, e.g. by layer: the result then has a Gramian for each, and a :class:`~accord.engines.PerGroup`
            balances each by itself. Any other balancer treats all groups as one.
        balancer: a weighting or an aggregator, from one call to the next the same object: it may have state.
        task_parameters: the other parameters that receive gradients; all that the losses reach when ``None``.
        at: compute the Gramian at these parameters or tensors only, e.g. the last shared layer: a cheap approximation.
        tasks: all names in order, when ``losses`` is a mapping in which some may be missing.
        engine: ``"loop"``, ``"batched"``, ``"auto"`` or an engine object; unused by weightings without Gramian.
        retain_graph: leave the graph usable.
        scaler: for float16 autocast: losses are scaled before every backward and ``.grad`` holds scaled gradients, for
            ``scaler.step``, ``unscale_`` and ``update`` as always. The balancer sees unscaled losses and gradients. A
            gradient that is not finite while its loss is means overflow: the step is given up, infinities go into
            ``.grad`` so that the scaler skips the step and lowers the scale, no task is active in the result, and
            the balancer's state is as before. Once the scale is 1 or less, such a task is left out as ever.
        group: the processes that take this step together, each with its part of the batch: ``.grad`` is then on all of
            them what one process would have on the whole batch. ``task_parameters`` are to be named, parameters may be
            replicas (DistributedDataParallel or not) or shards of ``fully_shard``. ``"local"`` for processes that
            train apart; where several run, one of the two has to be said.
        counts: with ``group``, the number of samples that each loss is the mean over on this process, by task; 0 for a
            task without any, whose loss is not looked at. When ``None``, a task's loss is the plain mean over the
            processes that have one.

    Returns:
        The weights, the Gramian and who took part.

    Raises:
        ConfigurationError: arguments that cannot be meant, or a model the engine cannot differentiate. No ``.grad`` has
            changed then.

    Cost: one backward for weightings without Gramian; else T backwards and T·P numbers, plus one backward under ``at``
    or when the weighting needs the Gramian.
    """
    if not isinstance(balancer, (Weighting, Aggregator, PerGroup)):
        raise ConfigurationError(_no_balancer(balancer))

    def read() -> Call:
        objectives = read_losses(losses, tasks, counts)
        parameters, groups = read_groups(shared, leaves=True)
        return Call(
            replace(objectives, scale=read_scale(scaler, objectives.values.device)),
            parameters,
            None if task_parameters is None else tuple(task_parameters),
            None if at is None else read_parameters(at, "at"),
            find_engine(engine),
            retain_graph,
            groups,
        )

    keep_freed()
    processes = find_processes(group)
    call = check_alone(read()) if processes is None else assemble(processes, read, balancer)
    with plain_arithmetic(), explained():
        return weigh(call, balancer) if isinstance(balancer, Weighting) else aggregate(call, balancer)


def _no_balancer(balancer: object) -> str:
    name = balancer.__name__ if inspect.isclass(balancer) else repr(balancer)
    hint = f"an instance, {name}()" if inspect.isclass(balancer) else "e.g. accord.aggregation.UPGrad()"
    return f"balancer is {name}, which is neither a weighting nor an aggregator: pass {hint}"
