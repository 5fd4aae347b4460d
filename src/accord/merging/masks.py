"""Random bits that depend on a seed and a tensor's name only, whatever the order or the number of threads."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.compiled import Delta, kernels

Words = npt.NDArray[np.uint64]

# Elements that share a limit, and the rarest draw for which a limit in 256 is fine enough: the number of survivors of a
# run then varies at most 1.6 % more than that of independent draws does.
RUN = 256
COARSE = 1 / 16
GAMMA = 0x9E3779B97F4A7C15
MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def draw_mask(seed: int, name: str, stream: int, start: int, density: float, out: npt.NDArray[np.uint8]) -> None:
    """Draw which of the elements from ``start`` on are kept, each with probability ``density``: 1, else 0.

    Element ``e`` of a tensor has its own place in a stream of :func:`splitmix`, whose key is a hash of the seed, the
    name and the stream. It gets a byte (two for densities near 0 and 1), and is kept if that is below a limit; a limit
    that is no whole number is rounded up or down at random for each run of 256 elements, so that the probability is
    exact.

    Args:
        seed: of the merge.
        name: of the tensor.
        stream: one for each model.
        start: of the elements in the flattened tensor.
        density: probability of being kept, at most 1.
        out: ``[length]``.
    """
    length = len(out)
    if density == 1.0 or not length:
        out.fill(1)
        return
    first, before = divmod(start, RUN)
    runs = -(-(before + length) // RUN)
    each, limit, rest, below = _limits(density)
    kind = np.dtype(f"<u{each}")
    words = 1 + RUN * kind.itemsize // 8  # of a run: one for its limit, then all draws
    bits = splitmix(_key(seed, name, stream), first * words, runs * words).astype("<u8", copy=False)
    bits = bits.reshape(runs, words)
    limits = (bits[:, :1] < np.uint64(rest)) + kind.type(limit)
    kept = (np.less if below else np.greater_equal)(bits[:, 1:].view(kind), limits)
    out[:] = kept.reshape(-1)[before : before + length]


def drop(seed: int, name: str, stream: int, start: int, density: float, row: Tensor) -> None:
    """Multiply ``row [length]``, elements of a task vector from ``start`` on, by the mask :func:`draw_mask` draws."""
    if density == 1.0 or not len(row):
        return
    loops = kernels()
    if loops is None or row.dtype != torch.float32 or sys.byteorder != "little":
        mask = np.empty(len(row), np.uint8)
        draw_mask(seed, name, stream, start, density, mask)
        row.mul_(torch.from_numpy(mask).to(row.dtype))
        return
    loops.drop(row, _key(seed, name, stream), *divmod(start, RUN), *_limits(density))


def draws(delta: Delta, seed: int, name: str, stream: int, density: float) -> Delta:
    """Set what ``delta`` is dropped by to the mask that :func:`draw_mask` draws."""
    if density != 1.0:
        delta.key = _key(seed, name, stream)
        delta.bytes, delta.limit, delta.rest, delta.keep_below = _limits(density)
    return delta


@lru_cache(maxsize=64)
def _limits(density: float) -> tuple[int, int, int, bool]:
    """Return the bytes of a draw, its limit, how often in 2^64 that is one more, and whether draws below are kept."""
    # The rarer of the two is drawn, whose limit is at most half of the range.
    rare = min(density, 1.0 - density)
    each = 1 if rare >= COARSE else 2
    limit, rest = divmod(rare * 256**each, 1)
    return each, int(limit), int(rest * 2.0**64), rare == density


def splitmix(key: int, first: int, count: int) -> Words:
    """Return 64-bit random words ``[count]``: those with places from ``first`` on in the stream of ``key``.

    A word is a mixture of its place, so that any of them can be had at once, by a handful of vector operations that
    leave other threads running. All streams are stretches of one sequence of period 2^64, and keys are hashes: that any
    two of a thousand streams of a billion words overlap has a chance of one in ten thousand.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014 (SplitMix64).
    """
    found = _steps(count) + np.uint64((key + (first + 1) * GAMMA) % 2**64)
    spare = np.empty_like(found)
    for shift, factor in MIXING:
        np.right_shift(found, np.uint64(shift), out=spare)
        np.bitwise_xor(found, spare, out=found)
        np.multiply(found, np.uint64(factor), out=found)
    np.right_shift(found, np.uint64(31), out=spare)
    return np.bitwise_xor(found, spare, out=found)


@lru_cache(maxsize=4)
def _steps(count: int) -> Words:
    return np.arange(count, dtype=np.uint64) * np.uint64(GAMMA)


@lru_cache(maxsize=64)
def _key(seed: int, name: str, stream: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{stream}\0{name}".encode()).digest()[:8], "little")
