"""Free text as hashed n-grams: no vocabulary to store, nothing to download, every language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from accord.errors import DataError

BUCKETS = 2**15
MAX_WIDTH = 64

TextEncoder = Callable[[list[str]], Any]
"""A frozen text encoder: ``n`` texts -> ``[n, d]`` numbers (array or tensor)."""

# A word, or one character of a script that is written without spaces.
_TOKEN = re.compile(r"[぀-ヿ㐀-䶿一-鿿가-힯]|[^\W_]+|[^\w\s]")


def tokens(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, compatibility forms unified (NFKC)."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def ngram_ids(text: str, buckets: int = BUCKETS) -> list[int]:
    """Return ids 1..buckets-1 of all words and pairs of neighbouring words, in reading order.

    The hash is CRC-32, the same in every process and on every machine. (Words and pairs as in Joulin et al., "Bag of
    Tricks for Efficient Text Classification", 2017.)
    """
    ids: list[int] = []
    before = b""
    for token in tokens(text):
        word = token.encode("utf-8", "replace")
        if before:
            ids.append(1 + crc32(before + b" " + word) % (buckets - 1))
        ids.append(1 + crc32(word) % (buckets - 1))
        before = word
    return ids


def hashed(texts: Sequence[str], buckets: int, width: int) -> np.ndarray:
    """Return ``[n, width]`` int32 ids, cut or padded with 0 to ``width``."""
    result = np.zeros((len(texts), width), dtype=np.int32)
    for row, text in enumerate(texts):
        ids = ngram_ids(text, buckets)[:width]
        result[row, : len(ids)] = ids
    return result


def embed(encoder: TextEncoder, texts: list[str], name: str) -> np.ndarray:
    """Return ``[n, d]`` float64 from a frozen text encoder, checking what it returns.

    Raises:
        DataError: it returned another shape or numbers that are not finite.
    """
    raw = encoder(texts)
    raw = raw.detach().cpu() if hasattr(raw, "detach") else raw
    values = np.asarray(raw, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(texts):
        raise DataError(f"the text encoder gave shape {list(values.shape)} for {len(texts)} texts of column {name!r}")
    if not np.isfinite(values).all():
        raise DataError(f"the text encoder gave numbers that are not finite for column {name!r}")
    return values
