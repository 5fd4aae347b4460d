"""Lay tensors out in safetensors files: which shard, where in it, and the header, all known before the first byte."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from accord.errors import DataError
from accord.merging.entry import Entry

TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.complex64: "C64",
}
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of the result.

    Attributes:
        file: its name.
        entries: the tensors in it.
        header: its first bytes.
        offsets: where each tensor starts, from the beginning of the file.
        size: of the file, in bytes.
    """

    file: str
    entries: tuple[Entry, ...]
    header: bytes
    offsets: dict[str, int]
    size: int

    @property
    def bytes(self) -> int:
        """Size of its tensors."""
        return self.size - len(self.header)


def lay_out(entries: Sequence[Entry], shard_bytes: int) -> list[Shard]:
    """Return the shards, filled in order; a tensor larger than ``shard_bytes`` has one of its own.

    Raises:
        DataError: a tensor is of a type that safetensors files do not have.
    """
    if odd := next((entry for entry in entries if entry.dtype not in TYPES), None):
        kind = str(odd.dtype).removeprefix("torch.")
        raise DataError(f"{odd.name} is of the type {kind}, which safetensors files do not have; convert it first")
    groups: list[list[Entry]] = [[]]
    filled = 0
    for entry in entries:
        if groups[-1] and filled + entry.bytes > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(entry)
        filled += entry.bytes
    if len(groups) == 1:
        return [_shard("model.safetensors", groups[0])]
    names = (f"model-{place:05d}-of-{len(groups):05d}.safetensors" for place in range(1, len(groups) + 1))
    return [_shard(name, group) for name, group in zip(names, groups, strict=True)]


def _shard(file: str, entries: Sequence[Entry]) -> Shard:
    # Wide types first, so that every tensor is aligned to its own elements.
    ordered = sorted(entries, key=lambda entry: -entry.dtype.itemsize)
    record: dict[str, object] = {"__metadata__": {"format": "pt"}}
    places: dict[str, int] = {}
    end = 0
    for entry in ordered:
        places[entry.name] = end
        end += entry.bytes
        record[entry.name] = {
            "dtype": TYPES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [end - entry.bytes, end],
        }
    text = json.dumps(record, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = struct.pack("<Q", len(text)) + text
    offsets = {name: place + len(header) for name, place in places.items()}
    return Shard(file, tuple(ordered), header, offsets, len(header) + end)


def index_text(shards: Sequence[Shard]) -> str:
    """Return the index of several shards, as Transformers reads it."""
    weight_map = {entry.name: shard.file for shard in shards for entry in shard.entries}
    total = sum(shard.bytes for shard in shards)
    record = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
