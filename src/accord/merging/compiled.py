"""The inner loops of merging in C, where they were compiled when Accord was installed."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SOURCES = tuple(Path(__file__).with_name(name) for name in ("kernels.h", "kernels.c", "stretches.c", "brought.c"))
# A name that no import system takes for one of Python's own modules.
LIBRARY = Path(__file__).with_name("kernels.shared")
MOST = 64  # task vectors that compiled loops elect from
AT_ONCE = 16  # models that they merge in one call for a whole stretch
LANES = 16  # sums that products are added to in turn

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Tallied = tuple[int, int, int, Floats]
_pointer, _size, _float = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_float
_word = ctypes.c_uint64
_Counts = ctypes.c_int64 * 3


class Delta(ctypes.Structure):
    """A task vector as ``stretches.c`` describes it; ``x`` is the address of the model's numbers."""

    _fields_: ClassVar = [
        ("x", _pointer),
        ("least", _float),
        ("factor", _float),
        ("weight", _float),
        ("bytes", ctypes.c_int32),
        ("keep_below", ctypes.c_int32),
        ("limit", ctypes.c_uint32),
        ("key", _word),
        ("rest", _word),
    ]


class Kernels:
    """The functions of the C files on tensors and arrays; other threads run meanwhile.

    Tensors and arrays are contiguous and in main memory; their lengths are the caller's to see to.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._delta = _function(library.accord_delta, _pointer, _pointer, _pointer, _size)
        self._weigh = _function(library.accord_weigh, _pointer, _float, ctypes.c_int, _pointer, _size)
        self._tally = _function(library.accord_tally, _pointer, _size, _float, _float, _pointer, _pointer)
        self._tally_delta = _function(
            library.accord_tally_delta, _pointer, _pointer, _size, _float, _float, _pointer, _pointer
        )
        self._tally.restype = self._tally_delta.restype = _size
        self._drop = _function(
            library.accord_drop,
            _pointer,
            _size,
            _word,
            _word,
            _size,
            ctypes.c_int,
            ctypes.c_uint32,
            _word,
            ctypes.c_int,
        )
        self._elect = _function(
            library.accord_elect, _pointer, _size, _size, _size, _pointer, _pointer, _float, ctypes.c_int, _pointer
        )
        self._mix = _function(library.accord_mix, _pointer, _pointer, _size, _size, _pointer)
        self._gramian = _function(library.accord_gramian, _pointer, _pointer, _pointer, _size, _size, _pointer)
        self._agree = _function(
            library.accord_agree, _pointer, _pointer, _size, _size, _size, ctypes.c_int, _float, _float, _pointer
        )
        self._brought = _function(
            library.accord_brought, _pointer, _pointer, _size, _size, _pointer, _pointer, _pointer
        )
        self._mix.restype = self._agree.restype = self._brought.restype = ctypes.c_bool

    def delta(self, model: int, base: Tensor, out: Tensor) -> None:
        """Write bfloat16 numbers at the address ``model`` minus ``base [n]`` to ``out [n]``, float32.

        Where they are the same that is 0, of infinities, too.
        """
        self._delta(model, base.data_ptr(), out.data_ptr(), out.numel())

    def weigh(self, model: int, weight: float, more: bool, out: Tensor) -> None:
        """Write bfloat16 numbers at the address ``model`` times ``weight`` to ``out [n]``, or add them to it."""
        self._weigh(model, weight, more, out.data_ptr(), out.numel())

    def tally(self, numbers: Tensor, low: float, high: float, within: Tensor) -> Tallied:
        """Return how many of ``numbers [n]`` are above ``high``, equal to it, equal to ``low``; and those between.

        All float32; ``within [n]`` is a work buffer.
        """
        return _tallied(self._tally, [numbers.data_ptr()], low, high, within)

    def tally_delta(self, model: int, base: int, low: float, high: float, within: Tensor) -> Tallied:
        """Return the same of the magnitudes of bfloat16 numbers at the address ``model`` minus those at ``base``."""
        return _tallied(self._tally_delta, [model, base], low, high, within)

    def drop(
        self, deltas: Tensor, key: int, run: int, before: int, bytes_each: int, limit: int, rest: int, below: bool
    ) -> None:
        """Multiply ``deltas [n]``, float32, by the masks that ``accord_drop`` draws."""
        self._drop(deltas.data_ptr(), deltas.numel(), key, run, before, bytes_each, limit, rest, below)

    def elect(
        self, deltas: Tensor, least: Sequence[float], weights: Sequence[float], draw: float, mean: bool, out: Tensor
    ) -> None:
        """Write the elected sum, or weighted mean, of ``deltas [count, n]`` to ``out [n]``; both float32.

        Magnitudes below ``least [count]`` count as 0, and a sum of 0 has the sign ``draw``.
        """
        count, length = deltas.shape
        row = _float * count
        shares = row(*(abs(weight) for weight in weights))
        bounds = row(*least) if any(least) else None
        self._elect(deltas.data_ptr(), count, length, length, bounds, shares, draw, mean, out.data_ptr())

    def mix(self, models: Sequence[int], weights: Sequence[float], out: Tensor) -> bool:
        """Write the weighted sum of bfloat16 numbers at the addresses ``models`` to ``out [n]``, bfloat16.

        Return whether all of it is finite.
        """
        count = len(models)
        places, factors = (_pointer * count)(*models), (_float * count)(*weights)
        return self._mix(places, factors, count, out.numel(), out.data_ptr())

    def gramian(self, models: Sequence[int], base: int, length: int, sums: Doubles) -> None:
        """Add products of any two of several vectors to ``sums [pairs, LANES]``: (0, 0), (1, 0), (1, 1), (2, 0) ...

        The vectors are ``length`` bfloat16 numbers at the addresses ``models``, less those at ``base`` unless it is 0.
        """
        self._gramian((_pointer * len(models))(*models), None, base, len(models), length, sums.ctypes.data)

    def products(self, rows: Sequence[Tensor], sums: Doubles) -> None:
        """Do the same for vectors ``[n]`` of float32."""
        places = (_pointer * len(rows))(*(row.data_ptr() for row in rows))
        self._gramian(None, places, None, len(rows), rows[0].numel(), sums.ctypes.data)

    def agree(
        self, deltas: Sequence[Delta], base: int, place: int, how: int, draw: float, scale: float, out: Tensor
    ) -> bool:
        """Write the base plus the merged task vector to ``out [n]``, bfloat16; return whether all of it is finite.

        See ``accord_agree``; ``place`` is that of the first number in its tensor.
        """
        each = (Delta * len(deltas))(*deltas)
        return self._agree(each, base, len(deltas), out.numel(), place, how, draw, scale, out.data_ptr())

    def brought(
        self, models: Sequence[int], merged: int, base: int, length: int, sums: Doubles, sizes: Doubles, places: Counts
    ) -> bool:
        """Look at bfloat16 numbers at the addresses ``models`` and at those that they were ``merged`` into.

        Changes are measured from those at ``base``, or from the models' mean where it is 0. See ``accord_brought`` for
        what is added to ``sums [pairs + 1, LANES]``, of the changes and then the merged one, ``sizes [2 n + 1]`` and
        ``places [2]``. Return whether all is finite; what was added is of no use if not.
        """
        each = (_pointer * (len(models) + 1))(*models, merged)
        arrays = (sums.ctypes.data, sizes.ctypes.data, places.ctypes.data)
        return self._brought(each, base, len(models), length, *arrays)


@cache
def kernels() -> Kernels | None:
    """Return the compiled loops, or ``None`` where there are none for this source and this processor."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    library.accord_source.restype = ctypes.c_char_p
    return Kernels(library) if library.accord_source() == fingerprint() else None


def fingerprint() -> bytes:
    """Return what a library must say to have been compiled of the sources beside it."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16].encode()


def address(source: Tensor | None, start: int) -> int:
    """Return where the bfloat16 number ``start`` of a flat tensor lies in main memory, or 0 if it is no such tensor."""
    if not isinstance(source, Tensor) or source.dtype != torch.bfloat16 or source.device.type != "cpu":
        return 0
    return source.data_ptr() + 2 * start if source.is_contiguous() else 0


def _tallied(function: Callable[..., int], places: list[int], low: float, high: float, within: Tensor) -> Tallied:
    counts = _Counts()
    kept = function(*places, within.numel(), low, high, counts, within.data_ptr())
    return counts[0], counts[1], counts[2], within[:kept].numpy().copy()


def _function(found: ctypes._NamedFuncPointer, *arguments: type[ctypes._SimpleCData]) -> ctypes._NamedFuncPointer:
    found.argtypes, found.restype = arguments, None
    return found
