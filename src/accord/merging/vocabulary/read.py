"""Read which tokens a model knows from its tokenizer files, without the libraries that run them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import DataError

FAST, CONFIG, ADDED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
# All files that say something about tokens; a result has those of one model, or the fast one alone.
FILES = (
    FAST,
    CONFIG,
    ADDED,
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True, eq=False)
class Words:
    """The tokens of a model.

    Attributes:
        folder: where its tokenizer lies.
        ids: the row of each token.
        added: tokens that stand beside the tokenizer's own vocabulary, such as ``<|im_end|>``, with their settings.
        fast: whether it is a ``tokenizer.json``.
    """

    folder: Path
    ids: Mapping[str, int]
    added: Mapping[str, Mapping[str, Any]]
    fast: bool


def read_words(folder: Path | None) -> Words | None:
    """Return the tokens of a model folder, or ``None`` if it has no tokenizer.

    ``tokenizer.json`` is read where there is one, else ``vocab.json`` or ``vocab.txt`` with ``added_tokens.json``.

    Raises:
        DataError: a file is damaged, or there is only a SentencePiece model.
    """
    if folder is None:
        return None
    if (folder / FAST).is_file():
        return _fast(folder)
    if (folder / "vocab.json").is_file():
        return _slow(folder, _rows(folder / "vocab.json"))
    if (folder / "vocab.txt").is_file():
        lines = (folder / "vocab.txt").read_text("utf-8").splitlines()
        return _slow(folder, {token: row for row, token in enumerate(lines)})
    if pieces := next((name for name in FILES if name.endswith(".model") and (folder / name).is_file()), None):
        raise DataError(
            f"{folder} has its tokens in {pieces} only, which is not read; save the tokenizer once with a {FAST} "
            "(Transformers does so)"
        )
    return None


def _fast(folder: Path) -> Words:
    content = _json(folder / FAST)
    try:
        vocabulary = content["model"]["vocab"]
        own = (
            {str(token): int(row) for token, row in vocabulary.items()}
            if isinstance(vocabulary, Mapping)
            else {str(piece[0]): row for row, piece in enumerate(vocabulary)}
        )
        added = {str(entry["content"]): entry for entry in content.get("added_tokens") or ()}
        ids = own | {token: int(entry["id"]) for token, entry in added.items()}
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{folder / FAST} is no tokenizer: {error!r}") from error
    return Words(folder, _checked(ids, folder), added, True)


def _slow(folder: Path, own: dict[str, int]) -> Words:
    added = _rows(folder / ADDED) if (folder / ADDED).is_file() else {}
    settings = {token: {"content": token, "id": row} for token, row in added.items()}
    ids = own | added
    return Words(folder, _checked(ids, folder), settings, False)


def _rows(path: Path) -> dict[str, int]:
    try:
        return {str(token): int(row) for token, row in _json(path).items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path} gives a token a row that is no number: {error}") from error


def _checked(ids: dict[str, int], folder: Path) -> dict[str, int]:
    if len(set(ids.values())) < len(ids):
        rows = sorted(ids.values())
        twice = next(a for a, b in itertools.pairwise(rows) if a == b)
        raise DataError(f"{folder}: two tokens have row {twice}")
    return ids


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is no JSON object")
    return content
