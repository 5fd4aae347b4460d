"""The small files beside the weights of a result: written with a checksum each, and checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from accord.errors import RunError
from accord.merging.writing import write_whole

# Theirs who publish the result: cards are edited, and a checksum would call that damage. So do reports, which are
# written later and whenever one likes, and anything that was put into the folder since.
THEIRS = ("README.md",)


def write_beside(out: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Write small files, each whole or not at all, in their order.

    Args:
        out: the folder of the result.
        contents: by name.

    Returns:
        The XXH3-128 checksums of those that people have no reason to edit: configuration, tokenizer, index, recipe,
        licence; not the card, ``README.md``.
    """
    for name, content in contents.items():
        write_whole(out / name, content)
    return {name: xxh3_128_hexdigest(content) for name, content in sorted(contents.items()) if name not in THEIRS}


def fault(out: Path, files: Mapping[str, str]) -> str | None:
    """Return what is wrong with the small files of a result, or ``None``.

    Args:
        out: its folder.
        files: their checksums; nothing else in the folder is looked at.

    Raises:
        RunError: a name leads out of the folder, or a file cannot be read.
    """
    for name, told in files.items():
        path = out / name
        if path.name != name:
            raise RunError(f"the record of {out} names {name!r}, which is no file of that folder: merge again")
        if not path.is_file():
            return f"{out} lacks {name}, which the merge wrote"
        try:
            found = xxh3_128_hexdigest(path.read_bytes())
        except OSError as error:
            raise RunError(f"could not read {path}: {error.strerror or error}") from error
        if found != told:
            return f"{path} is not what the merge wrote: its bytes have changed"
    return None
