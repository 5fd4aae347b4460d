"""Lay tensors out in safetensors files: which shard, where in it, and the header, all known before the first byte."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import torch

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
    torch.uint8: "U8",
    torch.bool: "BOOL",
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


def lay_out(entries: Sequence[Entry], shard_bytes: int) -> list[Shard]:
    """Return the shards, filled in order; a tensor larger than ``shard_bytes`` has one of its own."""
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
    total = sum(entry.bytes for shard in shards for entry in shard.entries)
    record = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
