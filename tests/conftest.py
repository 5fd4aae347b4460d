"""Settings for every test process."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages

# Before torch is imported: workers run side by side, and threads that outnumber the cores slow every one of them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import pytest
from hypothesis import settings

import accord

# Timings on a shared machine say nothing, and a gate must not fail by luck: the suite draws the same examples every
# time, and ACCORD_EXPLORE=1 (as `make explore-tests` says) draws new ones.
settings.register_profile("accord", deadline=None, derandomize=True)
settings.register_profile("accord-explore", deadline=None, print_blob=True)
settings.load_profile("accord-explore" if os.environ.get("ACCORD_EXPLORE") else "accord")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Import all of Accord before the first test, where hypothesis runs any.

    It also draws the constants of whatever local modules are imported, so that otherwise a test's examples
    would depend on which tests ran before it in the same process.
    """
    if not any(item.get_closest_marker("hypothesis") for item in session.items):
        return
    for module in walk_packages(accord.__path__, "accord."):
        if not module.name.endswith("__main__"):
            with suppress(ModuleNotFoundError):  # an extra that is not installed
                import_module(module.name)
