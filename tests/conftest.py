"""Settings for every test process."""

from __future__ import annotations

import os

# Before torch is imported: workers run side by side, and threads that outnumber the cores slow every one of them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import settings

# Timings on a shared machine say nothing, and a gate must not fail by luck: the suite draws the same examples every
# time, and ACCORD_EXPLORE=1 (as `make explore-tests` says) draws new ones.
settings.register_profile("accord", deadline=None, derandomize=True)
settings.register_profile("accord-explore", deadline=None, print_blob=True)
settings.load_profile("accord-explore" if os.environ.get("ACCORD_EXPLORE") else "accord")
