"""Tell quickly whether all of very many numbers are finite."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

# Bits of an infinity; NaN is beyond them, and with the sign bit negative ones are, too.
INFINITY = {torch.float16: 0x7C00, torch.bfloat16: 0x7F80}
NEGATIVE = 0x8000


def all_finite(values: Tensor) -> bool:
    """Return whether ``values [length]`` hold neither infinity nor NaN, at the cost of reading them.

    Wide numbers are summed: a ``False`` may also mean that the sum overflowed, so look again before you say so.
    """
    if not values.is_floating_point() or not len(values):
        return True
    if values.dtype in INFINITY:
        bits, infinity = values.view(torch.int16).numpy(), INFINITY[values.dtype]
        return bool(bits.max() < infinity and bits.view(np.uint16).max() < NEGATIVE + infinity)
    return math.isfinite(values.sum().item())
