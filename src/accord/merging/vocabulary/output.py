"""The tokenizer of the result: one model's, with tokens of others added to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accord.merging.vocabulary.read import ADDED, CONFIG, FAST, FILES, Words

# What a token is that was part of another model's vocabulary proper; as Transformers adds a plain text.
PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
SETTINGS = tuple(PLAIN)


def united(first: Words, others: Sequence[Words], more: Iterable[str]) -> dict[str, int]:
    """Return the rows of a union: those of ``first`` stay, then come plain tokens of the others, then added ones.

    Args:
        first: whose tokens keep their rows.
        others: in the order in which their tokens are added.
        more: further tokens that there shall be.
    """
    ids = dict(first.ids)
    following = max(ids.values(), default=-1) + 1
    plain = [
        token for words in others for token in sorted(words.ids, key=words.ids.__getitem__) if token not in words.added
    ]
    added = [token for words in others for token in sorted(words.added, key=words.ids.__getitem__)]
    for token in (*plain, *added, *more):
        if token not in ids:
            ids[token] = following
            following += 1
    return ids


def tokenizer_files(first: Words, ids: Mapping[str, int], others: Sequence[Words]) -> dict[str, bytes | None]:
    """Return the tokenizer files of the result; ``None`` for those it must not have.

    Args:
        first: whose files they are.
        ids: the row of each token.
        others: where the settings of added tokens come from; the first that has them counts.
    """
    files: dict[str, bytes | None] = dict.fromkeys(FILES)
    files |= {name: (first.folder / name).read_bytes() for name in FILES if (first.folder / name).is_file()}
    new = {token: row for token, row in ids.items() if token not in first.ids}
    if not new:
        return files
    entries = [{"id": row, "content": token, **_settings(token, others)} for token, row in new.items()]
    if not first.fast:
        given = {token: first.ids[token] for token in first.added}
        files[ADDED] = _bytes({**given, **new})
        return files
    content = json.loads((first.folder / FAST).read_text("utf-8"))
    content["added_tokens"] = [*(content.get("added_tokens") or ()), *entries]
    files[FAST] = _bytes(content)
    # Files of the slow tokenizer know nothing of the new tokens, and would be believed.
    for name in FILES:
        if name.endswith((".model", ".txt")) or name in ("vocab.json", ADDED):
            files[name] = None
    if (given_config := files[CONFIG]) is not None:
        config = json.loads(given_config)
        if isinstance(config, dict) and isinstance(config.get("added_tokens_decoder"), dict):
            told = {str(e["id"]): {key: value for key, value in e.items() if key != "id"} for e in entries}
            config["added_tokens_decoder"] = {**config["added_tokens_decoder"], **told}
            files[CONFIG] = _bytes(config)
    return files


def _settings(token: str, others: Sequence[Words]) -> dict[str, Any]:
    found = next((words.added[token] for words in others if token in words.added), {})
    return {key: found.get(key, PLAIN[key]) for key in SETTINGS}


def _bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
