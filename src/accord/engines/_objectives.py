"""Read what people pass as ``losses``: which tasks take part, and where each one's backward starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from accord.engines._autograd import edge_of, unit
from accord.engines._counts import Counts, read_counts
from accord.engines._warn import warn_caller
from accord.errors import ConfigurationError, suggest

Losses = Tensor | Sequence[Tensor | None] | Mapping[str, Tensor | None]


@dataclass(frozen=True, slots=True)
class Objectives:
    """The losses of one step.

    Attributes:
        names: T task names; positions as text when the losses have none.
        edges: where the backward of each active task starts; ``None`` for the others.
        values: ``[T]``, at least float32, without graph; 0 for absent tasks.
        active: ``[T]`` bool, the tasks that take part.
        skipped: why each of the others does not.
        scale: what losses are multiplied by before a backward (loss scaling); all gradients are this much larger.
        shares: by task, what this process's loss counts for where several take the step; empty for 1 each.
    """

    names: tuple[str, ...]
    edges: tuple[GradientEdge | None, ...]
    values: Tensor
    active: Tensor
    skipped: dict[str, str]
    scale: float = 1.0
    shares: tuple[float, ...] = ()

    def started(self) -> list[tuple[int, GradientEdge]]:
        """Return ``(task, edge)`` of the active tasks."""
        return [(task, edge) for task, edge in enumerate(self.edges) if edge is not None]

    def roots(self, weights: Sequence[float]) -> tuple[list[GradientEdge], list[Tensor]]:
        """Return where a backward of ``weights @ losses`` starts, and with what; tasks of weight 0 are left out."""
        used = [(task, edge) for task, edge in self.started() if weights[task]]
        return [edge for _, edge in used], [self.cotangent(task, weights[task]) for task, _ in used]

    def cotangent(self, task: int, weight: float = 1.0) -> Tensor:
        """Return what a backward of ``weight`` times the loss of ``task``, which is active, starts with."""
        edge, share = self.edges[task], self.shares[task] if self.shares else 1.0
        assert edge is not None
        return unit(edge, weight * share * self.scale)


def read_losses(losses: Losses, tasks: Sequence[str] | None = None, counts: Counts | None = None) -> Objectives:
    """Read ``losses`` and leave out, with a reason, the tasks that cannot take part.

    A task is inactive when its loss is ``None`` or, with ``tasks`` given, not in the mapping; when its loss is not
    finite (with a :class:`NonFiniteLossWarning`); and when no graph leads from it to a parameter.

    Raises:
        ConfigurationError: not losses, not scalars, unknown names, or none of them has a graph.
    """
    names, items, edges = _stacked(losses, tasks) if isinstance(losses, Tensor) else _listed(losses, tasks)
    values, shares = _values(items), read_counts(counts, names)
    if shares:  # the loss of no samples says nothing: a mean over them is NaN
        values = torch.where(torch.tensor(shares, device=values.device) > 0, values, 0)
    skipped: dict[str, str] = {}
    for name, item, edge, value in zip(names, items, edges, values.tolist(), strict=True):
        reason = _reason(name, item, edge, value)
        if reason:
            skipped[name] = reason
    if all(item is not None and edge is None for item, edge in zip(items, edges, strict=True)):
        raise ConfigurationError(
            f"none of the {len(names)} losses has a graph: compute them outside torch.no_grad() and without .detach(), "
            "from parameters that require a gradient"
        )
    active = torch.tensor([name not in skipped for name in names], device=values.device)
    kept = tuple(None if name in skipped else edge for name, edge in zip(names, edges, strict=True))
    return Objectives(names, kept, values, active, skipped, shares=shares)


def _reason(name: str, item: Tensor | None, edge: GradientEdge | None, value: float) -> str:
    if item is None:
        return "absent"
    if value - value != 0:  # NaN and the infinities, without another trip to the device
        warn_caller(f"task {name!r} is left out of this step: its loss is {value}")
        return f"its loss is {value}"
    return "" if edge is not None else "its loss is constant: no graph leads from it to a parameter"


def _values(items: Sequence[Tensor | None]) -> Tensor:
    present = [item.detach() for item in items if item is not None]
    if not present:
        return torch.zeros(len(items))
    device = present[0].device
    dtype = torch.float32
    for item in present:
        dtype = torch.promote_types(dtype, item.dtype)
    zero = torch.zeros((), dtype=dtype, device=device)
    return torch.stack([zero if item is None else item.detach().reshape(()).to(zero) for item in items])


def _stacked(
    losses: Tensor, tasks: Sequence[str] | None
) -> tuple[tuple[str, ...], list[Tensor], list[GradientEdge | None]]:
    if losses.ndim != 1 or losses.numel() == 0:
        raise ConfigurationError(
            f"losses has shape {list(losses.shape)}; pass one scalar per task, as a tensor [T], a list or a dict"
        )
    names = tuple(str(i) for i in range(len(losses))) if tasks is None else tuple(tasks)
    if len(names) != len(losses):
        raise ConfigurationError(f"losses has {len(losses)} entries but tasks names {len(names)}: {', '.join(names)}")
    _check_kind("losses", losses)
    with torch.enable_grad():
        return names, list(losses.detach().unbind()), _edges(losses)


def _edges(losses: Tensor) -> list[GradientEdge | None]:
    if not losses.requires_grad:
        return [None] * len(losses)
    node = losses.grad_fn
    # Starting at what was stacked rather than at the stack keeps tasks apart: through the stack, a task with an
    # infinite derivative would receive a zero gradient and turn it into NaN for everyone.
    if node is not None and node.name() == "StackBackward0" and len(node.next_functions) == len(losses):
        return [None if source is None else GradientEdge(source, port) for source, port in node.next_functions]
    # One selection per task, so that a head that is nothing but this belongs to its task, as any other does.
    return [edge_of(losses.select(0, task)) for task in range(len(losses))]


def _listed(
    losses: Sequence[Tensor | None] | Mapping[str, Tensor | None], tasks: Sequence[str] | None
) -> tuple[tuple[str, ...], list[Tensor | None], list[GradientEdge | None]]:
    named = _named(losses, tasks)
    if not named:
        raise ConfigurationError("losses is empty: pass one scalar per task, as a tensor [T], a list or a dict")
    edges: list[GradientEdge | None] = []
    for name, loss in named.items():
        if loss is not None:
            _check_scalar(name, loss)
        edges.append(edge_of(loss) if loss is not None and loss.requires_grad else None)
    return tuple(named), list(named.values()), edges


def _named(
    losses: Sequence[Tensor | None] | Mapping[str, Tensor | None], tasks: Sequence[str] | None
) -> dict[str, Tensor | None]:
    if isinstance(losses, Mapping):
        for name in losses:
            if tasks is not None and name not in tasks:
                raise ConfigurationError(f"losses names the task {name!r}, which is unknown. {suggest(name, tasks)}")
        return {name: losses.get(name) for name in (losses if tasks is None else tasks)}
    if isinstance(losses, str) or not isinstance(losses, Sequence):
        raise ConfigurationError(f"losses is a {type(losses).__name__}; pass a tensor [T], a list or a dict of scalars")
    names = [str(i) for i in range(len(losses))] if tasks is None else list(tasks)
    if len(names) != len(losses):
        raise ConfigurationError(f"losses has {len(losses)} entries but tasks names {len(names)}: {', '.join(names)}")
    return dict(zip(names, losses, strict=True))


def _check_scalar(name: str, loss: object) -> None:
    if not isinstance(loss, Tensor):
        raise ConfigurationError(
            f"the loss of task {name!r} is a {type(loss).__name__}, not a tensor; pass the tensor itself, not .item()"
        )
    if loss.ndim != 0:
        raise ConfigurationError(
            f"the loss of task {name!r} has shape {list(loss.shape)}; reduce it to one number, e.g. with .mean()"
        )
    _check_kind(f"the loss of task {name!r}", loss)


def _check_kind(what: str, loss: Tensor) -> None:
    if loss.is_complex():
        raise ConfigurationError(f"{what} is complex ({loss.dtype}); a loss is a real number, e.g. its .abs()")
