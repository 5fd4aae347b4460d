"""Checksums see every changed word, and do not depend on how the bytes arrive."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.merging.checksum import FACTORS, LEAF, Checksum


def checksum(content, cuts=()):
    found = Checksum()
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        found.update(memoryview(content)[start:end])
    return found.hexdigest()


def by_definition(content):
    """The same in exact integers, one word at a time."""
    sums = b""
    for start in range(0, len(content), LEAF):
        words = np.frombuffer(content[start : start + LEAF].ljust(LEAF, b"\0"), "<u8").tolist()
        total = sum(word * factor for word, factor in zip(words, FACTORS.tolist(), strict=True)) % 2**64
        sums += total.to_bytes(8, "little")
    return hashlib.sha256(sums + len(content).to_bytes(8, "little")).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 8, LEAF - 1, LEAF, LEAF + 3, 3 * LEAF])
def test_it_is_what_its_description_says(size):
    content = np.random.default_rng(size).bytes(size)
    assert checksum(content) == by_definition(content)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 3 * LEAF), cuts=st.lists(st.integers(0, 3 * LEAF), max_size=5))
def test_the_pieces_it_is_fed_do_not_matter(size, cuts):
    content = np.random.default_rng(0).bytes(size)
    assert checksum(content, sorted(min(cut, size) for cut in cuts)) == checksum(content)


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 2 * LEAF + 99), flip=st.integers(1, 255))
def test_a_changed_byte_is_seen(place, flip):
    content = bytearray(np.random.default_rng(1).bytes(2 * LEAF + 100))
    before = checksum(content)
    content[place] ^= flip
    assert checksum(content) != before


def test_swapped_words_zeros_at_the_end_and_swapped_leaves_are_seen():
    content = np.random.default_rng(2).bytes(2 * LEAF)
    found = {
        checksum(content),
        checksum(content[8:16] + content[:8] + content[16:]),
        checksum(content[LEAF:] + content[:LEAF]),
        checksum(content + b"\0"),
        checksum(content + b"\0\0"),
    }
    assert len(found) == 5
