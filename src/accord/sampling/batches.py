"""Batches drawn by a sampler's counts from any set of data sets or loaders, for anyone's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.sampling.sampler import Sampler
from accord.sampling.sources import Source, source_of


class Batches(nn.Module):
    """An endless iterator of mixed batches: for each task, the rows that the sampler gives it.

    Two lines in a loop::

        batches = accord.sampling.Batches(sampler, {"news": news, "mail": mail}, rows=64)
        for step, batch in zip(range(1000), batches):   # {"news": 40 rows, "mail": 24 rows}

    A step's tasks without rows are not in its dictionary. ``observe`` hands the step's news to the sampler, by task
    name. Data sets with ``__len__`` and ``__getitem__`` are shuffled anew in every epoch, each at its own pace, so that
    every example of a task is seen once before one is seen twice. Anything else that can be iterated over again and
    again, such as a ``DataLoader``, is read batch by batch and its batches, tensors or dictionaries, lists and tuples
    of them, are cut and joined to the rows that are asked for.

    ``state_dict`` has the sampler's state and the place in every source, and resumes exactly: data sets at once,
    loaders by reading past what was seen of the epoch. A loader that shuffles resumes exactly if it has a
    ``generator`` of its own, which is then seeded here at the start of every epoch.

    Args:
        sampler: for as many tasks as there are sources.
        sources: by name, or in order (the names are then 0, 1, ...).
        rows: rows per batch, or ``[T]`` of them; see :meth:`~accord.sampling.sampler.Sampler.forward`.
        seed: of the shuffling.
        collate: makes a batch of a list of examples of a data set.
        rank: number of this process.
        world: number of processes. All draw the same counts; the rows of each task are dealt out among them, and a
            process may get none. Loaders must be sharded already.
    """

    counts: Tensor

    def __init__(
        self,
        sampler: Sampler,
        sources: Mapping[Any, Any] | Sequence[Any],
        rows: int | Sequence[int],
        seed: int = 0,
        collate: Callable[[list[Any]], Any] = torch.utils.data.default_collate,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__()
        named = dict(sources) if isinstance(sources, Mapping) else dict(enumerate(sources))
        if len(named) != sampler.tasks:
            raise ConfigurationError(
                f"the sampler is made for {sampler.tasks} tasks; got {len(named)} sources: {list(named)}"
            )
        if not 0 <= rank < world:
            raise ConfigurationError(f"rank must be at least 0 and below world; got {rank} of {world}")
        self.names = list(named)
        self.sampler = sampler
        self.rows = rows
        self.rank, self.world = rank, world
        self.sources = nn.ModuleList(
            source_of(source, (seed, number), collate, str(name)) for number, (name, source) in enumerate(named.items())
        )
        self.register_buffer("counts", torch.zeros(sampler.tasks, dtype=torch.int64))

    def __iter__(self) -> Iterator[dict[Any, Any]]:
        return self

    def __next__(self) -> dict[Any, Any]:
        """Return the next batch, ``{name: rows of that task}``; ``counts`` then has all tasks' rows ``[T]``."""
        self.counts.copy_(self.sampler(self.rows))
        found: dict[Any, Any] = {}
        for name, source, count in zip(self.names, self.sources, self.counts.tolist(), strict=True):
            assert isinstance(source, Source)
            batch = source.take(count, self.rank, self.world) if count else None
            if batch is not None:
                found[name] = batch
        return found

    def observe(self, **news: Any) -> None:
        """Tell the sampler about the step: as its ``observe``, but values may also be ``{name: number}``.

        Tasks that are missing from such a dictionary, or ``None`` there, have no news.
        """
        self.sampler.observe(**{key: self._by_task(value) for key, value in news.items()})

    def _by_task(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        unknown = [name for name in value if name not in self.names]
        if unknown:
            raise ConfigurationError(f"there is no task {unknown[0]!r}; the tasks are {self.names}")
        found = [value.get(name) for name in self.names]
        return torch.tensor([float("nan") if each is None else float(each) for each in found], dtype=torch.float64)
