"""The small files beside the weights: configuration and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from accord.errors import DataError
from accord.merging.checkpoint import Checkpoint
from accord.merging.shards import Shard

# The terms of the model that leads go with it.
TERMS = ("LICENSE", "LICENCE", "NOTICE", "COPYING")
# Code (*.py) is left behind: a result holds nothing that could run.
KINDS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".vocab", ".spm")
LARGEST = 1 << 27
# Without these, and them whole, a result cannot be loaded.
READ_BY_ALL = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json")


def check_companions(source: Mapping[str, Tensor], instead: Collection[str] = ()) -> None:
    """Refuse files that :func:`gather_companions` would take as they are and that cannot be what they are called.

    Args:
        source: the checkpoint whose they are.
        instead: names of files that are written anew.

    Raises:
        DataError: one is empty, or is a tokenizer or configuration and no JSON.
    """
    found = source.folder if isinstance(source, Checkpoint) else None
    for path in companions(found) if found else ():
        if path.name in instead:
            continue
        if not path.stat().st_size:
            raise DataError(f"{path} is empty (0 bytes), and would be the result's: download it again, or remove it")
        if path.name in READ_BY_ALL:
            _check_json(path)


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}), and would be the result's: download it again") from error


def gather_companions(
    source: Mapping[str, Tensor], shards: Sequence[Shard], instead: Mapping[str, bytes | None] | None = None
) -> dict[str, bytes]:
    """Return a result's small files, those of ``source`` where its folder has any; the configuration tells the dtype.

    Args:
        source: the checkpoint whose they are.
        shards: the files of the result.
        instead: files in place of those, or besides; ``None`` leaves a file out.
    """
    found = source.folder if isinstance(source, Checkpoint) else None
    contents: dict[str, bytes | None] = {path.name: path.read_bytes() for path in companions(found)} if found else {}
    return {
        name: _told(content, shards) if name == "config.json" else content
        for name, content in {**contents, **(instead or {})}.items()
        if content is not None
    }


def companions(folder: Path) -> Iterator[Path]:
    """Yield the configuration and tokenizer files of a Hugging Face folder."""
    for path in sorted(folder.iterdir()):
        skipped = path.name.endswith(".index.json") or path.name.startswith((".", "accord-merge"))
        wanted = path.suffix in KINDS or path.stem in TERMS
        if wanted and not skipped and path.is_file() and path.stat().st_size <= LARGEST:
            yield path


def _told(content: bytes, shards: Sequence[Shard]) -> bytes:
    types = {str(e.dtype).removeprefix("torch.") for shard in shards for e in shard.entries if e.copy is None}
    try:
        config = json.loads(content)
    except ValueError:
        return content  # not ours to judge
    keys = [key for key in ("dtype", "torch_dtype") if isinstance(config, dict) and key in config]
    if len(types) != 1 or all(config[key] in types for key in keys):
        return content
    (dtype,) = types
    return (json.dumps(config | dict.fromkeys(keys, dtype), indent=2, ensure_ascii=False) + "\n").encode()
