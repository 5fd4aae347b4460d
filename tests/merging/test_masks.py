"""Random masks: exact shares, independent draws, and the same bits wherever a block starts."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.merging.masks import draw_mask, splitmix

MANY = 1 << 21


def keep_mask(seed, name, stream, start, length, density):
    out = np.empty(length, np.uint8)
    draw_mask(seed, name, stream, start, density, out)
    return out


def test_words_are_those_that_others_publish_for_the_generator():
    """The first outputs for the seed 1234567, as in several independent test suites; wherever one starts."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert splitmix(1234567, 0, 5).tolist() == known
    assert splitmix(1234567, 3, 2).tolist() == known[3:]
    assert splitmix(2**64 - 1, 3, 2).tolist() == splitmix(2**64 - 1, 0, 5)[3:].tolist()


@pytest.mark.parametrize("density", [0.0004, 0.1, 1 / 3, 0.5, 0.77, 0.9999])
def test_the_share_is_exact_and_runs_vary_as_independent_draws_do(density):
    kept = keep_mask(0, "w", 0, 0, MANY, density)
    spread = (density * (1 - density) / MANY) ** 0.5
    assert abs(kept.mean() - density) < 5 * spread
    runs = kept.reshape(-1, 256).sum(1)
    assert runs.var() == pytest.approx(256 * density * (1 - density), rel=0.1)


@pytest.mark.parametrize("lag", [1, 2, 7, 8, 64, 256, 264, 4096, 65536])
def test_elements_models_names_and_seeds_are_independent(lag):
    def centred(*key):
        return keep_mask(*key, 0, MANY, 0.3) - 0.3

    first = centred(0, "w", 0)
    others = [np.roll(first, lag), centred(1, "w", 0), centred(0, "v", 0), centred(0, "w", 1)]
    for other in others:
        assert abs(first @ other) / (0.21 * MANY**0.5) < 5  # standard deviations of a sum of independent products


def test_neighbouring_bits_take_all_patterns_as_often_as_they_should():
    kept = keep_mask(7, "w", 0, 0, MANY, 0.25)
    patterns = np.packbits(kept.reshape(-1, 8), axis=1).ravel()
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1)
    expected = len(patterns) * 0.25**ones * 0.75 ** (8 - ones)
    found = np.bincount(patterns, minlength=256)
    seen = expected > 5
    statistic = ((found - expected)[seen] ** 2 / expected[seen]).sum()
    freedom = seen.sum() - 1
    assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 3000),
    length=st.integers(1, 1500),
    density=st.floats(0.0001, 0.9999),
    stream=st.integers(0, 3),
)
def test_a_block_is_a_stretch_of_the_whole(start, length, density, stream):
    whole = keep_mask(3, "layer.weight", stream, 0, 4600, density)
    assert (keep_mask(3, "layer.weight", stream, start, length, density) == whole[start : start + length]).all()


def test_the_bits_of_a_seed_stay_the_same():
    """Published seeds must give the same merge with every later version: the definition once more, in whole numbers."""
    key = int.from_bytes(hashlib.sha256(b"0\0000\0model.embed_tokens.weight").digest()[:8], "little")

    def word(place):
        mixed = (key + (place + 1) * 0x9E3779B97F4A7C15) % 2**64
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        return mixed ^ mixed >> 31

    draws = b"".join(word(place).to_bytes(8, "little") for place in range(34, 66))  # 33 is for the second run's limit
    kept = keep_mask(0, "model.embed_tokens.weight", 0, 256, 256, 0.5)
    assert kept.tolist() == [draw < 128 for draw in draws]
