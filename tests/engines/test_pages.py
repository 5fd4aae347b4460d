"""Memory that one backward frees is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

import accord
from accord.engines._pages import rows_apart

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


HOLES = """
import torch
from pathlib import Path
from accord.engines._pages import release_memory, keep_freed

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

keep_freed()
blocks = [(torch.ones(2**18), torch.ones(2**10)) for _ in range(100)]  # large ones, and small ones that stay
small = [one for _, one in blocks]
del blocks
full = resident()
release_memory()
print((full - resident()) * 4096 // 2**20, float(sum(one.sum() for one in small)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other habits")
def test_holes_in_the_heap_go_back_to_the_kernel() -> None:
    found = subprocess.run([sys.executable, "-c", HOLES], check=True, capture_output=True, text=True).stdout.split()
    assert int(found[0]) > 80  # of 100 MiB in blocks between those that stay
    assert float(found[1]) == 100 * 2**10


@pytest.mark.parametrize("width", [0, 5, 1024, 2**22])
def test_rows_do_not_start_at_the_same_place_of_a_page(width: int) -> None:
    rows = rows_apart(4, width, torch.float32, torch.device("cpu"), blank=True)
    assert rows.shape == (4, width)
    assert not rows.any()
    assert width == 0 or rows.stride(0) * 4 % 4096
    rows[1] = torch.arange(width)
    assert torch.equal(rows.view(4, width, 1)[1, :, 0], torch.arange(width).float())
    assert not rows[[0, 2, 3]].any()


def test_a_jacobian_that_is_asked_for_is_contiguous() -> None:
    weight = torch.randn(8, 1024, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = accord.jacobian([(weight * factor).sum() for factor in (1.0, 2.0)], [weight], engine="loop")
    assert found.is_contiguous()
    assert torch.equal(found, torch.tensor([[1.0], [2.0]]).expand(2, 8192))
