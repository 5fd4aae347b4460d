"""Run methods over entries: block by block, tensors spread over threads, nothing held but work buffers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from accord.merging.at_once import LooksAtOnce, MergesAtOnce
from accord.merging.block import BLOCK, CACHE, SHORTEST, STRETCH, Block, Buffers
from accord.merging.entry import Entry
from accord.merging.finite import fits
from accord.merging.lazy import LazyTensor
from accord.merging.matrix_method import MatrixMethod
from accord.merging.progress import Progress, Tally, bytes_read
from accord.merging.survey import Part, Survey

# Buffers of a block besides those that a method has for each model.
OTHERS = 6
# A sample looks at runs of this many neighbours: a cache line of half-precision numbers.
SAMPLED = 32


class Sink(Protocol):
    """Where results go."""

    def put(self, entry: Entry, start: int, values: Tensor) -> None:
        """Store ``values`` of the entry's dtype at ``start`` of the flattened tensor. In order within an entry."""


class Engine:
    """Methods at work.

    Results do not depend on the number of threads: a tensor belongs to one thread, and surveys of the whole model are
    taken in the order of the entries.

    Args:
        threads: 1 or more.
        notice: told the name of each tensor in which numbers are not finite, and how many.
    """

    def __init__(self, threads: int, notice: Callable[[str, int], None]) -> None:
        self.threads = threads
        self.notice = notice
        self._local = threading.local()

    def survey(self, entries: Sequence[Entry], progress: Progress | None = None) -> dict[str, Any]:
        """Return what methods that span the model must know of all their ``entries`` first, by method.

        ``progress`` is told of every pass how far it is, tensor by tensor.
        """
        tally = Tally(progress)
        merged = [entry for entry in entries if entry.copy is None and entry.tied is None]
        groups: dict[str, list[Entry]] = {}
        for entry in merged:
            if entry.method.scope == "model":
                groups.setdefault(repr(entry.method), []).append(entry)
        return {name: self._span(group, tally) for name, group in groups.items()}

    def _span(self, merged: Sequence[Entry], tally: Tally) -> Any:
        survey = self._begin(merged[0], sum(entry.elements for entry in merged))
        if survey is None:
            return None
        with self._pool() as pool:
            while not survey.finished:
                tally.begin_pass(merged)
                self._pass(pool, survey, merged, tally)
        return survey.found

    def find(self, wanted: Sequence[tuple[Survey, Sequence[Entry]]], tally: Tally) -> list[Any]:
        """Return what each survey, of one pass, finds in its entries together; ``tally`` has begun the phase."""
        with self._pool() as pool:
            for survey, entries in wanted:
                self._pass(pool, survey, entries, tally)
        return [survey.found for survey, _ in wanted]

    def _pass(self, pool: ThreadPoolExecutor, survey: Survey, entries: Sequence[Entry], tally: Tally) -> None:
        survey.take(run_all(pool, ((self._look_at_all, survey, entry, tally) for entry in entries)))

    def _look_at_all(self, survey: Survey, entry: Entry, tally: Tally) -> Part:
        part = self._look(survey, entry)
        tally.add(bytes_read(entry))
        return part

    def merge(self, entries: Iterable[Entry], sink: Sink, found: Mapping[str, Any]) -> None:
        """Merge ``entries``, largest first, into ``sink``; ``found`` is what :meth:`survey` returned."""
        by_size = sorted(entries, key=lambda entry: -entry.elements)
        with self._pool() as pool:
            run_all(pool, ((self._merge, entry, sink, found) for entry in by_size))

    @torch.inference_mode()  # calls on short blocks cost half as much
    def _merge(self, entry: Entry, sink: Sink, spans: Mapping[str, Any]) -> None:
        if entry.copy is not None:
            for start in range(0, entry.elements, BLOCK):
                sink.put(entry, start, entry.copy[start : start + BLOCK])
            return
        method = entry.method
        found = spans.get(repr(method)) if method.scope == "model" else self._survey_tensor(entry)
        fast = method if isinstance(method, MergesAtOnce) and entry.dtype == torch.bfloat16 else None
        broken = 0
        for stretch in self._stretches(entry, STRETCH if fast else entry.elements):
            result = fast.at_once(stretch, found) if fast else None
            if result is not None:
                sink.put(entry, stretch.start, result)
            else:
                broken += self._merge_blocks(entry, stretch, found, sink)
        if broken:
            self.notice(entry.name, broken)

    def _merge_blocks(self, entry: Entry, stretch: Block, found: Any, sink: Sink) -> int:
        """Merge a stretch block by block; return how many numbers are not finite."""
        broken = 0
        for block in self._within(entry, stretch):
            merged = entry.method.combine(block, found)
            result = block.buffer("result", entry.dtype).copy_(merged)
            if not fits(merged, entry.dtype):
                broken += self._mend(block, result)
            sink.put(entry, block.start, result)
        return broken

    def _survey_tensor(self, entry: Entry) -> Any:
        survey = self._begin(entry, entry.elements)
        while survey is not None and not survey.finished:
            survey.take([self._look(survey, entry)])
        return survey.found if survey is not None else None

    def _mend(self, block: Block, result: Tensor) -> int:
        """Put back what is the same in all checkpoints and not finite, as masks of -inf; count the others."""
        settled = block.settled()
        value = block.base() if block.has_base else block.model(0)
        settled &= ~torch.isfinite(value)
        result[settled] = value[settled].to(result.dtype)
        return int((~torch.isfinite(result) & ~settled).sum())

    def _begin(self, entry: Entry, elements: int) -> Survey | None:
        return entry.method.survey(len(entry.models), elements, entry.base is not None) if elements else None

    @torch.inference_mode()
    def _look(self, survey: Survey, entry: Entry) -> Part:
        part = survey.part()
        seen = entry if survey.stride == 1 else _sampled(entry, survey.stride)
        fast = part if isinstance(part, LooksAtOnce) else None
        for stretch in self._stretches(seen, STRETCH if fast else seen.elements):
            if fast is None or not fast.at_once(stretch):
                for block in self._within(seen, stretch):
                    part.look(block)
        return part

    def _stretches(self, entry: Entry, length: int) -> Iterator[Block]:
        """Yield a tensor in stretches of ``length``, of which nothing is read yet."""
        known: dict[str, Any] = {}
        for start in range(0, entry.elements, max(1, length)):
            yield self._block(entry, start, min(length, entry.elements - start), known)

    def _within(self, entry: Entry, stretch: Block) -> Iterator[Block]:
        """Yield the blocks of a stretch."""
        length, end = block_length(entry), stretch.start + stretch.length
        for start in range(stretch.start, end, length):
            yield self._block(entry, start, min(length, end - start), stretch.known)

    def _block(self, entry: Entry, start: int, length: int, known: dict[str, Any]) -> Block:
        buffers: Buffers = self._local.buffers
        name = entry.tied or entry.name
        return Block(name, start, length, entry.base, entry.models, entry.arithmetic, buffers, entry.shape, known)

    def _start_thread(self) -> None:
        # Blocks are too short to be shared out once more. This sets the calling thread's own number.
        torch.set_num_threads(1)
        self._local.buffers = Buffers()

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(self.threads, initializer=self._start_thread) as pool:
                yield pool
        finally:
            torch.set_num_threads(before)  # it is also what threads to come start with


def block_length(entry: Entry) -> int:
    """Return how many elements of ``entry`` a block has: whole rows, or a whole matrix, where its method needs them."""
    method = entry.method
    if isinstance(method, MatrixMethod) and method.is_matrix(entry.name, entry.shape):
        return max(1, entry.elements)
    length = BLOCK
    held = (OTHERS + method.stacks * len(entry.models)) * entry.arithmetic.itemsize
    while method.stacks and length > SHORTEST and held * length > CACHE:
        length //= 2
    return max(1, length // entry.row) * entry.row if method.by_rows and entry.row else length


def run_all(pool: ThreadPoolExecutor, calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the results of ``(function, *arguments)`` in order; the first failure drops what has not started."""
    futures: list[Future[Any]] = [pool.submit(*call) for call in calls]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done() and future.exception() is not None:
                raise future.exception()  # pyright: ignore[reportGeneralTypeIssues]
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _sampled(entry: Entry, stride: int) -> Entry:
    def thin(flat: Tensor) -> Tensor:
        if isinstance(flat, LazyTensor):
            return flat.sample(SAMPLED, stride)
        whole = len(flat) // (SAMPLED * stride)
        runs = flat[: whole * SAMPLED * stride].view(whole, -1)[:, :SAMPLED] if whole else flat
        return runs.reshape(-1)

    base = None if entry.base is None else thin(entry.base)
    return replace(entry, base=base, models=tuple(thin(model) for model in entry.models))
