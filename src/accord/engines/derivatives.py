"""The Jacobian and the Gramian of any losses, on their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import torch
from torch import Tensor

from accord.engines._autograd import explained
from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._graph import explore
from accord.engines._health import healthy
from accord.engines._objectives import Losses, Objectives, read_losses
from accord.engines._pages import keep_freed
from accord.engines._registry import find_engine
from accord.engines._scope import plain_arithmetic
from accord.engines._shared import Shared, read_groups, read_parameters


def jacobian(
    losses: Losses,
    shared: Iterable[Tensor],
    *,
    tasks: Sequence[str] | None = None,
    engine: str | Engine = "auto",
    retain_graph: bool = True,
) -> Tensor:
    """Return the Jacobian ``[T, P]``: row t is the gradient of loss t over all numbers of ``shared``, in order.

    No ``.grad`` is touched. Frozen parameters have no columns; the columns of parameters that no loss reaches and the
    rows of tasks without loss are zero.

    Args:
        losses: tensor ``[T]``, or a sequence or mapping of scalars; ``None`` where a task has no loss in this step.
        shared: parameters, or tensors of the graph such as a representation.
        tasks: all names in order, when ``losses`` is a mapping in which some may be missing.
        engine: ``"loop"``, ``"batched"``, ``"auto"`` or an engine object.
        retain_graph: leave the graph usable, as a backward of weighted losses usually follows.

    Raises:
        ConfigurationError: arguments that cannot be meant, or a model the engine cannot differentiate.

    Cost: T backwards and T·P numbers (float32 for half-precision parameters).
    """
    with plain_arithmetic(), explained():
        return _differentiate(losses, shared, tasks, engine, retain_graph)[1].jacobian()


@overload
def gramian(
    losses: Losses,
    shared: Mapping[str, Iterable[Tensor] | Tensor],
    *,
    tasks: Sequence[str] | None = None,
    engine: str | Engine = "auto",
    retain_graph: bool = True,
) -> dict[str, Tensor]: ...


@overload
def gramian(
    losses: Losses,
    shared: Iterable[Tensor],
    *,
    tasks: Sequence[str] | None = None,
    engine: str | Engine = "auto",
    retain_graph: bool = True,
) -> Tensor: ...


def gramian(
    losses: Losses,
    shared: Shared,
    *,
    tasks: Sequence[str] | None = None,
    engine: str | Engine = "auto",
    retain_graph: bool = True,
) -> Tensor | dict[str, Tensor]:
    """Return the Gramian ``[T, T]`` of the losses' gradients over ``shared``, float64: ``G = J Jᵀ``.

    Where ``shared`` is a mapping from names to parameters, e.g. by layer, there is one by name; they add up to that of
    all.

    It is accumulated from float32 products of whole rows, which are rescaled where squares would leave float32: float64
    is there for the range (gradients of norm 1e-30 to 1e30), not for more digits. Rows and columns of a task
    without loss are zero; so are those of a task whose gradient is not finite, with a
    :class:`~accord.errors.NonFiniteLossWarning`.

    Arguments and errors are those of :func:`jacobian`. Cost: T backwards + T²·P.
    """
    parameters, groups = read_groups(shared)
    with plain_arithmetic(), explained():
        objectives, found = _differentiate(
            losses, parameters, tasks, engine, retain_graph, tuple(groups.values()), rows=False
        )
        if not groups:
            return healthy(found.gramian(), objectives)[0]
        each = found.gramians()
        active = healthy(each.sum(0), objectives)[1].to(each.device)
        return dict(zip(groups, torch.where(active[:, None] & active, each, 0.0), strict=True))


def _differentiate(
    losses: Losses,
    shared: Iterable[Tensor],
    tasks: Sequence[str] | None,
    engine: str | Engine,
    retain_graph: bool,
    groups: tuple[tuple[int, ...], ...] = (),
    *,
    rows: bool = True,
) -> tuple[Objectives, Derivatives]:
    chosen = find_engine(engine)
    keep_freed()
    objectives = read_losses(losses, tasks)
    parameters = read_parameters(shared)
    graph = explore(objectives.started()).open()
    nothing = ((),) * len(objectives.names)
    return objectives, chosen.differentiate(Problem(objectives, parameters, graph, nothing, retain_graph, groups, rows))
