"""How far a merge has come, in phases that are named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from accord.merging.entry import Entry

# Told the bytes that are done, those there are in all, and the phase they are of. From any thread, never two at once.
Progress = Callable[[int, int, str], None]
WRITING = "writing"
MERGING = "merging"
COMPARING = "comparing"


class Tally:
    """Adds up what threads have done of one phase after the other.

    Args:
        progress: who wants to know; ``None`` is nobody.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._passes = 0

    def begin(self, phase: str, whole: int, done: int = 0) -> None:
        """Begin a phase of ``whole`` bytes, of which ``done`` were done before."""
        self._phase, self._whole, self._done = phase, whole, 0
        self.add(done)

    def begin_pass(self, entries: Sequence[Entry]) -> None:
        """Begin the next pass over all that ``entries`` are merged of, before any of them can be."""
        if self._progress is not None:
            self._passes += 1
            self.begin(f"pass {self._passes} before {WRITING}", sum(map(bytes_read, entries)))

    def add(self, size: int) -> None:
        """Take ``size`` more bytes as done."""
        if self._progress is not None:
            with self._lock:
                self._done += size
                self._progress(self._done, self._whole, self._phase)


def bytes_read(entry: Entry) -> int:
    """Return the size of what a tensor is merged of, its base included."""
    return sum(source.nbytes for source in (*entry.models, *([] if entry.base is None else [entry.base])))
