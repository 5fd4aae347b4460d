"""Settings for every test process."""

from __future__ import annotations

import os

# Before torch is imported: workers run side by side, and threads that outnumber the cores slow every one of them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import settings

# Timings on a shared machine say nothing, and a gate must not fail by luck: CI draws the same examples every time,
# everyone else explores.
settings.register_profile("accord", deadline=None)
settings.register_profile("accord-ci", deadline=None, derandomize=True)
settings.load_profile("accord-ci" if os.environ.get("CI") else "accord")
