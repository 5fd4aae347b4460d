"""Memory of a Jacobian waits for the next step, and nobody finds another one's numbers in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

import accord
from accord.engines import _blocks, release_memory
from accord.engines._pages import rows_apart, zeros

WIDTH = 2**22 + 80  # 16 MiB and a bit: below that memory is the heap's
CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such pages")


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    release_memory()
    yield
    release_memory()


def ones(width: int = WIDTH) -> Tensor:
    return rows_apart(1, width, torch.float32, CPU).fill_(1.0)


@pytest.mark.parametrize("blank", [zeros, lambda *what: rows_apart(*what, blank=True)])
def test_a_block_comes_back_and_zeros_are_zeros(blank) -> None:
    place = ones().data_ptr()
    again = blank(1, WIDTH, torch.float32, CPU)
    assert again.data_ptr() == place
    assert not again.any()


def test_what_is_in_use_is_nobody_elses() -> None:
    first, second = ones(), ones()
    second.fill_(2.0)
    part = first[0, 7:9]
    del first  # a view holds it
    third = ones().fill_(3.0)
    assert part.tolist() == [1.0, 1.0]
    assert (second == 2.0).all() and (third == 3.0).all()


def test_blocks_of_several_sizes_wait_for_their_own() -> None:
    widths = (WIDTH, WIDTH + 80, WIDTH + 160)
    for width in widths:
        ones(width)
    # What is fresh is zero.
    assert [bool(rows_apart(1, width, torch.float32, CPU).all()) for width in widths] == [True] * 3


def test_no_more_is_kept_than_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 4 * WIDTH
    monkeypatch.setattr(_blocks, "KEPT", 2 * size + 1)
    held = [ones() for _ in range(3)]
    del held
    assert [len(memory) for memory in _blocks._spare] == [size, size]
    monkeypatch.setattr(_blocks, "KEPT", size - 1)
    ones()
    assert not _blocks._spare


def test_kept_memory_is_released_when_asked_to() -> None:
    ones(4 * WIDTH)
    before = _resident()
    release_memory()
    assert before - _resident() > 60  # of 64 MiB


def test_threads_do_not_meet_in_a_block() -> None:
    def fill(number: int) -> bool:
        found = []
        for step in range(20):
            mine = rows_apart(1, WIDTH, torch.float32, CPU).fill_(number + step / 32)
            found.append(bool((mine == number + step / 32).all()))
        return all(found)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(4)))


def test_a_jacobian_that_somebody_keeps_outlives_the_next_steps() -> None:
    weight = torch.zeros(2**21, requires_grad=True)
    slopes = torch.arange(2.0**21)

    def jacobian(factor: float) -> Tensor:
        return accord.jacobian([(factor * slopes * weight).sum(), weight.sum()], [weight], engine="loop")

    kept, passing = jacobian(1.0), jacobian(2.0)
    del passing
    jacobian(3.0)
    assert torch.equal(kept, torch.stack([slopes, torch.ones(2**21)]))


def _resident() -> float:
    """Return resident memory in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256
