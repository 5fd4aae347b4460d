"""Warn people at their own line."""

from __future__ import annotations

import inspect
import warnings

from accord.errors import NonFiniteLossWarning


def warn_caller(message: str, category: type[Warning] = NonFiniteLossWarning) -> None:
    """Issue a warning at the innermost line outside Accord that led here."""
    level, frame = 2, inspect.currentframe()
    frame = None if frame is None else frame.f_back
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("accord."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
