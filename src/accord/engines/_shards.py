"""A step on a model that ``fully_shard`` (FSDP2) has spread over processes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, autograd

from accord.engines._autograd import explained
from accord.engines._engine import Derivatives, Engine, Problem, columns
from accord.engines._graph import Graph
from accord.engines._hooks import refuse_waiting_hooks
from accord.engines._joint_losses import ABSENT, CONSTANT, missing
from accord.engines._objectives import Objectives
from accord.engines._processes import Processes
from accord.engines._products import products
from accord.engines._rows import combine
from accord.engines._scattered import Joint
from accord.engines._team import Found, Gradients, Roots, Several, union
from accord.engines.auto import Auto
from accord.engines.loop import Loop
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether ``tensor`` is a DTensor, without importing what makes them."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


class Shards(Several):
    """Processes that hold a part of every parameter each.

    One ordinary backward per task, in which ``fully_shard`` itself gathers parameters and reduce-scatters gradients:
    each process ends up with its part of every task's gradient averaged over processes, ``T·P/R`` numbers. What the
    backwards leave in ``.grad`` is taken out again. Weights then need T² numbers, and the direction none.

    Args:
        processes: who.
        shared: the parameters to balance.
        others: the other parameters.
        graph: the graph under the losses, which holds gathered copies of the parameters.

    Raises:
        ConfigurationError: the parameters are not what ``fully_shard`` makes, or some in the graph were not named.
    """

    sharded = True

    def __init__(
        self, processes: Processes, shared: Sequence[Tensor], others: Sequence[Tensor] | None, graph: Graph
    ) -> None:
        self._processes, self._parameters = processes, [*shared, *(others or ())]
        _check(processes, shared, others, graph)
        mesh = _sharded(shared[0]).device_mesh
        split = [i for i, placement in enumerate(_sharded(shared[0]).placements) if placement.is_shard()]
        self._columns = [Processes(mesh.get_group(i)) for i in split]

    def told(self, objectives: Objectives, kinds: Tensor) -> Objectives:
        lacking = missing(objectives, (kinds == ABSENT) | (kinds == CONSTANT))
        if lacking is not None:
            raise ConfigurationError(
                f"task {lacking[0]!r} has no loss on process {lacking[1]}: under fully_shard every process runs every "
                "backward, so compute the loss of its empty batch too, and pass counts= with 0 for it"
            )
        return objectives

    def differentiate(self, engine: Engine, problem: Problem) -> Derivatives:
        if not isinstance(engine, (Auto, Loop)):
            raise ConfigurationError(
                f"engine={engine.name!r} cannot drive fully_shard, which gathers parameters for ordinary backwards: "
                'use engine="auto"'
            )
        objectives, shared = problem.objectives, problem.shared
        parts = columns([_local(tensor) for tensor in shared])
        rows = torch.zeros(len(objectives.names), parts[-1].stop, dtype=_width(shared), device=shared[0].device)
        reached = [False] * len(shared)
        heads: list[tuple[Tensor | None, ...]] = [()] * len(objectives.names)
        started = objectives.started()
        for task, edge in started:
            keep = problem.keep or task != started[-1][0]
            roots = [edge], [objectives.cotangent(task)]
            gradients = self.pull(roots, [*shared, *problem.own[task]], keep=keep)
            heads[task] = gradients[len(shared) :]
            for position, (part, gradient) in enumerate(zip(parts, gradients, strict=False)):
                if gradient is not None:
                    reached[position] = True
                    rows[task, part] = gradient.reshape(-1).to(rows.dtype)
        self._check_arrived(started, reached, heads)
        return ShardedRows(self._columns, problem, rows, reached, heads)

    def pull(self, roots: Roots, wanted: Sequence[Tensor], *, keep: bool) -> tuple[Tensor | None, ...]:
        """Return this process's part of the gradients of ``wanted``, already summed over processes."""
        if not (wanted and roots[0]):
            return (None,) * len(wanted)
        before = [tensor.grad for tensor in self._parameters]
        try:
            for tensor in self._parameters:
                tensor.grad = None
            # fully_shard takes the mean over processes of what is to be a sum.
            cotangents = [cotangent * self._processes.size for cotangent in roots[1]]
            with explained():
                autograd.backward(roots[0], cotangents, retain_graph=keep)  # pyright: ignore[reportArgumentType]
            return tuple(None if tensor.grad is None else _local(tensor.grad) for tensor in wanted)
        finally:
            for tensor, grad in zip(self._parameters, before, strict=True):
                tensor.grad = grad

    def settle(self, parameters: Sequence[Tensor], gradients: Gradients) -> list[tuple[Tensor, Tensor]]:
        found: dict[int, Tensor] = {}
        for parameter, gradient in gradients:
            before = found.get(id(parameter))
            found[id(parameter)] = gradient if before is None else before + gradient
        return [(p, _like(p, found[id(p)])) for p in parameters if id(p) in found]

    def attempt(self, find: Callable[[], tuple[Found, dict[int, float]]], tasks: int) -> tuple[Found, dict[int, float]]:
        found, ill = find()  # processes meet inside, so one that fails cannot tell the others
        return found, self.everywhere(ill, tasks)

    def everywhere(self, ill: Mapping[int, float], tasks: int) -> dict[int, float]:
        return union(self._processes, ill, tasks)

    def _check_arrived(
        self, started: Sequence[object], reached: Sequence[bool], heads: Sequence[tuple[Tensor | None, ...]]
    ) -> None:
        if started and not any(reached) and all(part is None for own in heads for part in own):
            raise ConfigurationError(
                "no sharded parameter received a gradient: fully_shard keeps them back after "
                "set_requires_gradient_sync(False), which accord.backward cannot do without; set it to True"
            )


class ShardedRows(Joint):
    """This process's columns of the Jacobian: those of its parts of the parameters."""

    def __init__(
        self,
        across: Sequence[Processes],
        problem: Problem,
        rows: Tensor,
        reached: list[bool],
        heads: list[tuple[Tensor | None, ...]],
    ) -> None:
        self._across, self._problem, self._rows, self._reached = across, problem, rows, reached
        self._parts = columns([_local(tensor) for tensor in problem.shared])
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._total(products([self._rows], self._problem.objectives.active))

    def gramians(self) -> Tensor:
        active = self._problem.objectives.active
        groups = self._problem.groups
        return self._total(
            torch.stack([products([self._rows[:, self._parts[i]] for i in group], active) for group in groups])
        )

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        flat = combine(weights, self._rows)
        return [self._whole(i, flat[part]) for i, part in enumerate(self._parts)]

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        own = {i: row for row, group in zip(weights, self._problem.groups, strict=True) for i in group}
        return [self._whole(i, combine(own[i], self._rows[:, part])) for i, part in enumerate(self._parts)]

    def jacobian(self) -> Tensor:
        """Return the Jacobian ``[T, P]``: one all-gather per parameter, T·P numbers together."""
        shared = self._problem.shared
        rows = [_full(_sharded(p), self._rows[:, part]) for p, part in zip(shared, self._parts, strict=True)]
        return torch.cat(rows, dim=1)

    def place(self, flat: Tensor, group: Sequence[int]) -> list[Tensor | None]:
        parameters = [_sharded(self._problem.shared[i]) for i in group]
        parts = zip(group, parameters, columns(parameters), strict=True)
        return [_mine(p, flat[part].view(p.shape)) if self._reached[i] else None for i, p, part in parts]

    def _whole(self, position: int, local: Tensor) -> Tensor | None:
        return _like(self._problem.shared[position], local) if self._reached[position] else None

    def _total(self, numbers: Tensor) -> Tensor:
        for processes in self._across:
            numbers = processes.total(numbers)
        return numbers


def _sharded(tensor: Tensor) -> DTensor:
    from torch.distributed.tensor import DTensor

    assert isinstance(tensor, DTensor)
    return tensor


def _local(tensor: Tensor) -> Tensor:
    return _sharded(tensor).to_local().detach()


def _width(parameters: Sequence[Tensor]) -> torch.dtype:
    dtype = torch.float32
    for parameter in parameters:
        dtype = torch.promote_types(dtype, parameter.dtype)
    return dtype


def _like(parameter: Tensor, local: Tensor) -> Tensor:
    """Return ``local``, this process's part of something like ``parameter``, as a DTensor like it."""
    from torch.distributed.tensor import DTensor

    model = _sharded(parameter)
    part = local.reshape(_local(model).shape).to(model.dtype)
    return DTensor.from_local(
        part, model.device_mesh, model.placements, run_check=False, shape=model.shape, stride=model.stride()
    )


def _full(model: DTensor, local: Tensor) -> Tensor:
    """Return ``[T, n]`` of all processes from this one's columns ``local`` of a parameter with n numbers."""
    from torch.distributed.tensor import DTensor, Shard

    shape = torch.Size([len(local), *model.shape])
    placements = [Shard(p.dim + 1) if isinstance(p, Shard) else p for p in model.placements]
    stacked = DTensor.from_local(
        local.reshape(len(local), *model.to_local().shape),
        model.device_mesh,
        placements,
        run_check=False,
        shape=shape,
        stride=torch.empty(shape, device="meta").stride(),
    )
    return stacked.full_tensor().flatten(1)


def _mine(model: DTensor, whole: Tensor) -> Tensor:
    """Return ``whole``, which every process has, as a DTensor like ``model``."""
    from torch.distributed.tensor import DTensor, Replicate

    everywhere = [Replicate()] * model.device_mesh.ndim
    copies = DTensor.from_local(whole.contiguous(), model.device_mesh, everywhere, run_check=False)
    return copies.redistribute(placements=model.placements).to(model.dtype)


def _check(processes: Processes, shared: Sequence[Tensor], others: Sequence[Tensor] | None, graph: Graph) -> None:
    every = [*shared, *(others or ())]
    plain = [list(tensor.shape) for tensor in every if not is_sharded(tensor)]
    if plain:
        raise ConfigurationError(
            f"some parameters are sharded and others are not (shape {plain[0]}): fully_shard the whole model, and "
            "collect its parameters before the first forward, which leaves plain copies of some in their place"
        )
    refuse_waiting_hooks("fully_shard", every)
    mesh = _sharded(shared[0]).device_mesh
    if any(_sharded(tensor).device_mesh != mesh for tensor in every):
        raise ConfigurationError("the parameters are sharded over different device meshes: use one for all")
    if processes.size != mesh.size():
        raise ConfigurationError(
            f"group has {processes.size} processes, but the parameters are sharded over {mesh.size()}: pass the group "
            "of the whole mesh"
        )
    if any(graph.holder(tensor) is not None for tensor in every):
        raise ConfigurationError(
            "shared holds DTensors that take part in the forward themselves, as under tensor parallelism; "
            "only those of fully_shard can be balanced"
        )
    _check_named(every, others, graph)


def _check_named(every: Sequence[Tensor], others: Sequence[Tensor] | None, graph: Graph) -> None:
    """Raise if the graph holds parameters that were not named: each task's backward would add to their ``.grad``."""
    copies = Counter(tuple(leaf.shape) for leaves in graph.leaves.values() for leaf in leaves)
    copies.subtract(Counter(tuple(tensor.shape) for tensor in every))
    unnamed = [list(shape) for shape, number in copies.items() if number > 0]
    if unnamed:
        raise ConfigurationError(
            f"the losses reach a parameter of shape {unnamed[0]} that is neither in shared nor in task_parameters"
            f"{' (which was not given)' if others is None else ''}: under fully_shard, name all of them"
        )
