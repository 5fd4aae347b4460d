"""LAPACK's functions in double precision, found when first asked for."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


@cache
def lapack(name: str) -> Any:
    """Return the function of that name, such as ``"posv"``."""
    from scipy.linalg import get_lapack_funcs  # a third of a second that runs without a solver should not pay

    return get_lapack_funcs((name,), dtype=np.float64)[0]
