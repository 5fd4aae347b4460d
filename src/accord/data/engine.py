"""The table engine, imported on first use: ``import accord.data`` alone must not pay for it, nor need it."""

from __future__ import annotations

import importlib
from typing import Any

from accord.errors import MissingExtraError


def arrow(part: str = "") -> Any:
    """Return the module ``pyarrow`` or its submodule ``part`` (``"compute"``, ``"dataset"``, ``"csv"`` ...).

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    return optional(f"pyarrow.{part}" if part else "pyarrow", "reading tables", "tables")


def optional(module: str, job: str, extra: str) -> Any:
    """Import ``module``, or say which extra of Accord the ``job`` needs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(job, extra, module.partition(".")[0]) from error
