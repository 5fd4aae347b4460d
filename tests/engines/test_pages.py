"""Memory that one backward frees is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# A heap that grows by 48 MiB and shrinks again, as under a backward, and how many pages the kernel hands over for that
# (it takes some 12,000 to fill it once).
PROGRAM = """
import resource, torch
from accord.engines._pages import keep_freed

def fill():
    return [torch.ones(2**21) for _ in range(6)]

if {keep}:
    keep_freed()
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other habits")
def test_freed_memory_is_not_asked_for_again() -> None:
    assert _faults(keep=True) < 5_000 < 10_000 < _faults(keep=False)


def _faults(*, keep: bool) -> int:
    program = PROGRAM.format(keep=keep)
    return int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
