"""Where a task's rows come from: data sets by number, loaders batch by batch; both know their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError, DataError


class Source(nn.Module, ABC):
    """Rows of one task, without end. ``place`` is the epoch and the rows taken of it, int64 ``[2]``."""

    place: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("place", torch.zeros(2, dtype=torch.int64))

    @abstractmethod
    def take(self, count: int, rank: int, world: int) -> Any:
        """Return this process's part of the next ``count`` rows as a batch, ``None`` where it gets none."""


def source_of(source: Any, seed: tuple[int, ...], collate: Callable[[list[Any]], Any], name: str) -> Source:
    """Return ``source`` as a :class:`Source`.

    Raises:
        ConfigurationError: it is neither a data set nor can it be iterated over repeatedly.
    """
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return Examples(source, seed, collate, name)
    if hasattr(source, "__iter__") and not isinstance(source, Iterator):
        return Stream(source, seed, name)
    raise ConfigurationError(
        f"the source of task {name} is neither a data set, with __len__ and __getitem__, nor can it be iterated over "
        f"again and again, as a DataLoader can; got a {type(source).__name__}"
    )


class Examples(Source):
    """A data set whose examples can be fetched by number, shuffled anew in every epoch."""

    def __init__(self, data: Any, seed: tuple[int, ...], collate: Callable[[list[Any]], Any], name: str) -> None:
        super().__init__(name)
        if not len(data):
            raise DataError(f"the data set of task {name} is empty")
        self.data = data
        self.seed = seed
        self.collate = collate
        self.order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def take(self, count: int, rank: int, world: int) -> Any:
        mine = self._next(count)[rank::world]
        if not len(mine):
            return None
        if isinstance(self.data, Tensor) and self.collate is torch.utils.data.default_collate:
            return self.data[torch.from_numpy(mine)]  # what stacking its rows one by one comes to
        return self.collate([self.data[int(number)] for number in mine])

    def _next(self, count: int) -> np.ndarray:
        epoch, taken = self.place.tolist()
        parts: list[np.ndarray] = []
        while count:
            if self.order[0] != epoch:
                self.order = (epoch, np.random.default_rng((*self.seed, epoch)).permutation(len(self.data)))
            parts.append(self.order[1][taken : taken + count])
            count -= len(parts[-1])
            taken += len(parts[-1])
            if taken == len(self.data):
                epoch, taken = epoch + 1, 0
        self.place.copy_(torch.tensor([epoch, taken]))
        return np.concatenate(parts)


class Stream(Source):
    """A loader: what it yields in an epoch, cut and joined to the rows that are asked for."""

    def __init__(self, loader: Any, seed: tuple[int, ...], name: str) -> None:
        super().__init__(name)
        self.loader = loader
        self.seed = seed
        self.batches: Iterator[Any] | None = None
        self.rest: Any = None
        self.reached = (-1, 0)

    def take(self, count: int, rank: int, world: int) -> Any:
        wanted = len(range(rank, count, world))
        parts = []
        while wanted:
            part = self._up_to(wanted)
            parts.append(part)
            wanted -= length(part, self.name)
        return joined(parts) if parts else None

    def _up_to(self, wanted: int) -> Any:
        """Return at least one and at most ``wanted`` rows, all of one of the loader's batches."""
        if tuple(self.place.tolist()) != self.reached:
            self._catch_up()
        while self.rest is None:
            self._read()
        here = min(wanted, length(self.rest, self.name))
        part, rest = rows_between(self.rest, 0, here), rows_between(self.rest, here, None)
        self.rest = rest if length(rest, self.name) else None
        self.place[1] += here
        self.reached = (self.reached[0], self.reached[1] + here)
        return part

    def _catch_up(self) -> None:
        """Go to ``place`` after a state was loaded (or at the very start), reading past rows that were seen."""
        epoch, taken = self.place.tolist()
        self._start(epoch)
        while taken:
            self._read()
            here = min(taken, length(self.rest, self.name))
            rest = rows_between(self.rest, here, None)
            self.rest = rest if length(rest, self.name) else None
            taken -= here
        self.reached = (epoch, int(self.place[1]))

    def _start(self, epoch: int) -> None:
        generator = getattr(self.loader, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(int(np.random.SeedSequence((*self.seed, epoch)).generate_state(1)[0]))
        self.batches, self.rest = iter(self.loader), None

    def _read(self) -> None:
        """Read the loader's next batch, of the next epoch where this one is over."""
        assert self.batches is not None
        found = next(self.batches, None)
        if found is None:
            epoch, taken = self.place.tolist()
            if not taken:
                raise DataError(f"the loader of task {self.name} has no rows")
            self._start(epoch + 1)
            self.place.copy_(torch.tensor([epoch + 1, 0]))
            self.reached = (epoch + 1, 0)
        elif length(found, self.name):
            self.rest = found


def leaves(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from leaves(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from leaves(value)


def length(batch: Any, name: str) -> int:
    """Return the rows of a batch.

    Raises:
        DataError: it has no tensors, or they differ in their number of rows.
    """
    sizes = {len(leaf) for leaf in leaves(batch) if leaf.ndim}
    if len(sizes) != 1:
        raise DataError(
            f"the loader of task {name} must yield tensors, or dictionaries, lists and tuples of them, with one number "
            f"of rows; got {type(batch).__name__} with {sorted(sizes) or 'no'} rows"
        )
    return sizes.pop()


def rows_between(batch: Any, start: int, end: int | None) -> Any:
    """Return rows ``start`` to ``end`` of a batch, in its own structure."""
    return mapped([batch], lambda tensors: tensors[0][start:end])


def joined(batches: Sequence[Any]) -> Any:
    """Return several batches of one structure as one."""
    return batches[0] if len(batches) == 1 else mapped(batches, lambda tensors: torch.cat(list(tensors)))


def mapped(batches: Sequence[Any], function: Callable[[Sequence[Tensor]], Tensor]) -> Any:
    """Apply ``function`` to the tensors that stand at the same place of ``batches``; all else is the first's."""
    first = batches[0]
    if isinstance(first, Tensor):
        return function(batches) if first.ndim else first
    if isinstance(first, Mapping):
        return {key: mapped([batch[key] for batch in batches], function) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(mapped(parts, function) for parts in zip(*batches, strict=True)))
    if isinstance(first, (list, tuple)):
        return type(first)(mapped(parts, function) for parts in zip(*batches, strict=True))
    return first
