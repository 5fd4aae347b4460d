"""Whether the rows that are merged belong to the same tokens, where the recipe says nothing of vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from accord.errors import DataError
from accord.merging.recipe.inputs import Model
from accord.merging.vocabulary.read import FILES, Words, read_words

SHOWN = 2  # notes about rows with two names, before the others are only counted


def check_order(models: Sequence[Model]) -> list[str]:
    """Refuse models that have a token in another row than others do; return notes about rows with two names.

    Reserved rows that a fine-tuning gave names of its own are no obstacle. Tokenizers that cannot be read say nothing,
    and files that are the same are read once.

    Raises:
        DataError: names a token, its rows, and both models.
    """
    rows: dict[str, tuple[int, str]] = {}
    names: dict[int, dict[str, str]] = {}
    read: set[bytes] = set()
    notes = []
    for model in models:
        for token, row in _unread(model, read).items():
            other, owner = rows.setdefault(token, (row, model.label))
            if other != row:
                raise DataError(
                    f"the token {token!r} has row {row} in {model.label} and row {other} in {owner}: the vocabularies "
                    "differ, and rows of different tokens would be merged. Say which one the result has: "
                    "`tokenizer_source: union`, `base`, or a model"
                )
            called = names.setdefault(row, {})
            if called and token not in called:
                name, namer = next(iter(called.items()))
                notes.append(f"row {row} of the vocabulary is {name!r} in {namer} and {token!r} in {model.label}")
            called.setdefault(token, model.label)
    return notes if len(notes) <= SHOWN else [*notes[:SHOWN], f"and {len(notes) - SHOWN} more rows have two names"]


def _unread(model: Model, read: set[bytes]) -> dict[str, int]:
    """Return the tokens of a model, none where the files that say so are those of a model before."""
    digest = sha256()
    for path in [model.folder / name for name in FILES] if model.folder else ():
        digest.update(path.read_bytes() if path.is_file() else b"")
    if digest.digest() in read:
        return {}
    read.add(digest.digest())
    try:
        words: Words | None = read_words(model.folder)
    except DataError:
        return {}
    return dict(words.ids) if words is not None else {}
