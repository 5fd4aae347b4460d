"""Tell quickly whether all of very many numbers are finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# The square of float64's own largest number is none.
BOUNDS = {dtype: min(torch.finfo(dtype).max, 1e154) ** 2 / 4 for dtype in TYPES}


def fits(values: Tensor, dtype: torch.dtype) -> bool:
    """Return whether ``values [length]`` hold neither infinity nor NaN, and would not if rounded to ``dtype``.

    What is looked at is the sum of their squares, at the cost of reading them: if that is below a quarter of the square
    of the largest number, every number is below half of it. A ``False`` may also mean that the numbers are only large
    together, so look again before you say so.
    """
    return torch.dot(values, values).item() < BOUNDS.get(dtype, math.inf)
