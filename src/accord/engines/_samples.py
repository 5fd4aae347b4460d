"""Which task each sample of a batch belongs to, and sums and pieces of tensors by task."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from accord.engines._layout import sample_axis


class Rows:
    """The tasks of R rows, and how to take tensors of so many rows apart.

    Attributes:
        task: ``[R]`` task of each row; T for rows that no task uses.
        sizes: by task, how many rows it has.
        ordered: whether they are in the order of the tasks already, unused ones last.
    """

    def __init__(self, task: Tensor, sizes: list[int], ordered: bool) -> None:
        self.task, self.sizes, self.ordered = task, sizes, ordered
        self._used = sum(sizes)

    @cached_property
    def even(self) -> int:
        """Return how many rows each task has where all have the same, all rows are used and they are in order."""
        same = len(set(self.sizes)) == 1 and self._used == len(self.task)
        return self.sizes[0] if self.ordered and same else 0

    @cached_property
    def _order(self) -> Tensor:
        return self.task.argsort(stable=True)

    def present(self) -> Tensor:
        """Return ``[T]``, whether each task has rows."""
        return torch.tensor([size > 0 for size in self.sizes], device=self.task.device)

    def spread(self, weights: Tensor) -> Tensor:
        """Return ``[R]``, each row's entry of ``weights [T]``; 0 for rows that no task uses."""
        return torch.cat([weights, weights.new_zeros(1)]).to(self.task.device)[self.task]

    @cached_property
    def alike(self) -> bool:
        """Return whether all tasks have the same number of rows, which is not 0."""
        return self._used > 0 and len(set(self.sizes)) == 1

    @cached_property
    def _alternating(self) -> Tensor | None:
        """Return the places of one row of each task in turn, ``None`` where the rows are in that order already."""
        places = self._order[: self._used].view(len(self.sizes), -1).T.reshape(-1)
        return None if torch.equal(places, torch.arange(len(self.task), device=places.device)) else places

    def abreast(self, values: Tensor) -> Tensor:
        """Return the rows of ``values`` ``[R, ...]`` as ``[R / T, T, ...]``, of tasks that are :attr:`alike`."""
        rows = values if self._alternating is None else values.index_select(0, self._alternating)
        return rows.unflatten(0, (-1, len(self.sizes)))

    def total(self, values: Tensor) -> Tensor:
        """Return ``[T, n]``, the sums of the rows ``values [R, n]`` of each task."""
        if self.even == 1:
            return values
        if self.even:
            return values.unflatten(0, (-1, self.even)).sum(1)
        count = len(self.sizes)
        return values.new_zeros(count + 1, values.shape[1]).index_add_(0, self.task, values)[:count]

    def finer(self, each: int) -> Rows:
        """Return the tasks of ``each`` times as many rows, where every one of these is followed by its copies."""
        return Rows(self.task.repeat_interleave(each), [size * each for size in self.sizes], self.ordered)

    def take(self, places: Tensor) -> Rows:
        """Return the tasks of the rows at ``places``, which may repeat."""
        task = self.task[places]
        return Rows(task, torch.bincount(task, minlength=len(self.sizes) + 1).tolist()[: len(self.sizes)], False)

    def pieces(self, values: Tensor) -> Iterator[Tensor]:
        """Yield the rows of ``values`` ``[R, ...]`` of each task, copied just before they are used where they must."""
        if self.ordered:
            yield from values[: self._used].split(self.sizes)
            return
        for places in self._order[: self._used].split(self.sizes):
            yield values.index_select(0, places)


class Samples:
    """The tasks of a batch of N samples.

    Args:
        task: ``[N]`` task of each sample; T for samples that no task uses.
        tasks: T.
    """

    def __init__(self, task: Tensor, tasks: int) -> None:
        self.task, self.tasks = task, tasks
        self.sizes = torch.bincount(task, minlength=tasks + 1).tolist()[:tasks]
        self._ordered = bool((task[1:] >= task[:-1]).all())
        self._known: dict[tuple[int, int], Rows] = {}

    def of(self, shape: tuple[int, ...], layout: int) -> Rows:
        """Return the tasks of the slices along the sample axis and what precedes it, for a tensor of that layout."""
        found = sample_axis(shape, layout, len(self.task))
        assert found is not None  # trace() has refused the node otherwise
        return self.rows(prod(shape[: found[0] + 1]), layout)

    def rows(self, count: int, layout: int) -> Rows:
        """Return the tasks of ``count`` slices of a tensor of that layout; sorted once for all tensors alike."""
        if (count, layout) not in self._known:
            each = count // (layout * len(self.task))
            task = self.task.repeat_interleave(each).repeat(layout)
            sizes = [size * each * layout for size in self.sizes]
            self._known[count, layout] = Rows(task, sizes, self._ordered and layout == 1)
        return self._known[count, layout]
