"""Derivatives of a step that several processes take together, each holding a part of the Jacobian's columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from accord.engines._engine import Derivatives, Problem, columns
from accord.engines._processes import Processes
from accord.engines._products import products
from accord.engines._rows import combine


class Joint(Derivatives):
    """What several processes found together: the same Gramian and the same direction on each of them."""

    @abstractmethod
    def place(self, flat: Tensor, group: Sequence[int]) -> list[Tensor | None]:
        """Cut a direction into the parameters at ``group``; ``None`` for those that no process's tasks reach."""


class Scattered(Joint):
    """The Jacobian summed over processes, ``ceil(P/R)`` of its columns on each.

    The Gramian is the sum of the columns' products, so it is that of the summed gradients, cross terms between
    processes included. Every process combines its own columns and passes them on, so that the direction is the same to
    the last bit everywhere, even where processors round differently.

    Communication: a reduce-scatter of the rows of the active tasks, ``T·P/R`` numbers to each process, T² for the
    Gramian, P for the direction; T·P where the whole Jacobian is asked for.

    Args:
        processes: who.
        problem: what was differentiated, with losses already weighted by this process's share in them.
        local: what an engine found here.
        rows: the Jacobian in it.
        reached: by shared parameter, whether some process's tasks reach it.
    """

    def __init__(
        self, processes: Processes, problem: Problem, local: Derivatives, rows: Tensor, reached: list[bool]
    ) -> None:
        self._processes, self._problem, self._reached = processes, problem, reached
        self.heads = local.heads
        active = problem.objectives.active
        self._active = active
        self._total = rows.shape[1]
        self._rows = processes.scatter_rows(rows, active.nonzero().squeeze(1).tolist())

    def gramian(self) -> Tensor:
        return self._processes.total(products([self._rows], self._active))

    def gramians(self) -> Tensor:
        pieces = self._pieces()
        found = [products([self._rows[:, pieces[i]] for i in group], self._active) for group in self._problem.groups]
        return self._processes.total(torch.stack(found))

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        return self.place(self._gathered(combine(weights, self._rows)), range(len(self._problem.shared)))

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        pieces = self._pieces()
        mine = torch.zeros_like(self._rows[0])
        for own, group in zip(weights, self._problem.groups, strict=True):
            for i in group:
                mine[pieces[i]] = combine(own, self._rows[:, pieces[i]])
        return self.place(self._gathered(mine), range(len(self._problem.shared)))

    def jacobian(self) -> Tensor:
        return self._gathered(self._rows)

    def place(self, flat: Tensor, group: Sequence[int]) -> list[Tensor | None]:
        parts = columns([self._problem.shared[i] for i in group])
        return [flat[part] if self._reached[i] else None for i, part in zip(group, parts, strict=True)]

    def _gathered(self, mine: Tensor) -> Tensor:
        """Return ``[..., P]`` from every process's ``mine`` ``[..., W]``."""
        whole = self._processes.gather(mine).movedim(0, -2)
        return whole.reshape(*mine.shape[:-1], -1)[..., : self._total]

    def _pieces(self) -> list[slice]:
        """Return by parameter where its columns lie among this process's; empty slices for most."""
        width = self._rows.shape[1]
        first = self._processes.rank * width
        return [
            slice(min(max(part.start - first, 0), width), min(max(part.stop - first, 0), width))
            for part in columns(self._problem.shared)
        ]


class Beside(Derivatives):
    """Gradients at tensors that hold a part per sample, such as a representation: other samples, other columns.

    So the Gramian over all samples is the sum of those of each process: T² numbers, and P for the direction.
    """

    def __init__(self, processes: Processes, shared: Sequence[Tensor], local: Derivatives) -> None:
        self._processes, self._shared, self._local = processes, shared, local
        self.heads = local.heads

    def gramian(self) -> Tensor:
        return self._processes.total(self._local.gramian().clone())

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        mine = zip(self._shared, self._local.direction(weights), strict=True)
        whole = summed(self._processes, self._shared, [(p, gradient) for p, gradient in mine if gradient is not None])
        found = {id(parameter): gradient for parameter, gradient in whole}
        return [found.get(id(parameter)) for parameter in self._shared]


def summed(
    processes: Processes, parameters: Sequence[Tensor], gradients: Sequence[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Return ``(parameter, gradient)`` summed over processes, for each parameter that some process has one for.

    Args:
        processes: who.
        parameters: the same on every process, n tensors with N numbers together.
        gradients: what this process has of them, a parameter any number of times.

    Communication: one all-reduce of N + n numbers, in float32 or wider.
    """
    dtype = torch.float32
    for parameter in parameters:
        dtype = torch.promote_types(dtype, parameter.dtype)
    parts, total = columns(parameters), sum(parameter.numel() for parameter in parameters)
    place = {id(parameter): i for i, parameter in enumerate(parameters)}
    flat = torch.zeros(total + len(parts), dtype=dtype, device=parameters[0].device)
    for parameter, gradient in gradients:
        i = place[id(parameter)]
        whole = gradient.to_dense() if gradient.is_sparse else gradient
        flat[parts[i]] += whole.reshape(-1).to(flat)
        flat[total + i] = 1
    processes.total(flat)
    reached = flat[total:].tolist()
    return [(p, flat[part]) for p, part, hit in zip(parameters, parts, reached, strict=True) if hit > 0]
