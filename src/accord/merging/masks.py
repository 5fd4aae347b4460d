"""Random bits that depend on a seed and a tensor's name only, whatever the order or the number of threads."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor

# Philox yields 256 bits per count; element numbers below must divide into whole counts.
BITS = 256
COARSE = (1 / 64, 63 / 64)


def keep_mask(seed: int, name: str, stream: int, start: int, out: Tensor, density: float) -> float:
    """Draw which of ``[length]`` elements from ``start`` on are kept; return the probability that was really used.

    Element ``e`` of a tensor has its own place in a counter-based stream (Salmon et al., Parallel random numbers: as
    easy as 1, 2, 3, 2011) whose key is a hash of the seed, the name and the stream. The probability is a multiple of
    2^-16, or of 2^-32 for densities near 0 and 1; dividing by it makes what survives right in expectation.

    Args:
        seed: of the merge.
        name: of the tensor.
        stream: one for each model.
        start: of the elements in the flattened tensor, a multiple of 16.
        out: boolean ``[length]``, filled.
        density: probability of being kept.
    """
    kind = np.uint16 if COARSE[0] <= density <= COARSE[1] else np.uint32
    width = np.dtype(kind).itemsize * 8
    key = hashlib.sha256(f"{seed}\0{stream}\0{name}".encode()).digest()[:16]
    philox = np.random.Philox(key=np.frombuffer(key, np.uint64), counter=start * width // BITS)
    count = -(-len(out) * width // 64)
    bits = philox.random_raw(-(-count // 4) * 4).astype("<u8", copy=False).view(kind)[: len(out)]
    limit = max(1, round(density * 2**width))
    np.less(bits, limit, out=out.numpy())
    return limit / 2**width
