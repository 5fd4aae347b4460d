"""Match the tensors of several checkpoints by name, and refuse, by name, what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from accord.errors import DataError
from accord.merging.block import BLOCK
from accord.merging.entry import Entry, Rules
from accord.merging.merging_method import MergingMethod

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
NAMED = 5  # tensors a message names before it only counts the others


def align(
    method: MergingMethod, base: Mapping[str, Tensor] | None, models: Sequence[Mapping[str, Tensor]], rules: Rules
) -> list[Entry]:
    """Return the entries of the result in the order of the base (else of the first model).

    Numbers that are not real floating point are never averaged: where all checkpoints agree they are copied, single
    counters (as of BatchNorm) come from the base, and arrays that differ, mostly quantised weights, are refused.

    Raises:
        ConfigurationError: the method does not take so many models, or lacks its base.
        DataError: a tensor is missing, extra, of another shape, or not of numbers that can be merged.
    """
    method.admit(len(models), base is not None)
    if method.base == "unused":
        base = None
    first = models[0] if base is None else base
    everyone = [*([] if base is None else [base]), *models]
    ties = _ties(first, everyone)
    _check_names(everyone, base is not None and rules.missing == "base", rules.extra == "drop", ties)
    twin = {later: earlier for later, earlier in ties.items() if later in first}
    return [_entry(method, name, base, models, everyone, rules, twin.get(name)) for name in first]


def _check_names(
    everyone: Sequence[Mapping[str, Tensor]], may_lack: bool, may_add: bool, ties: Mapping[str, str]
) -> None:
    first = everyone[0]
    where = label(first, 0)
    for position, model in enumerate(everyone):
        lacks = [name for name in first if name not in model and ties.get(name) not in model]
        more = [name for name in model if name not in first and ties.get(name) not in first]
        if lacks and (prefix := _prefix(lacks, more)):
            raise DataError(
                f"{label(model, position)} has {lacks[0]} as {prefix}{lacks[0]}, and so all others: a wrapper, such as "
                f"torch.compile, DataParallel or PEFT, put {prefix!r} in front when it was saved; rename them"
            )
        if lacks and not may_lack:
            raise DataError(
                f"{label(model, position)} lacks {_list(lacks)}, which {where} has. If it was fine-tuned without "
                "them, give the base and merge with missing='base', which leaves them as the base has them."
            )
        if more and not may_add:
            raise DataError(
                f"{label(model, position)} has {_list(more)}, which {where} lacks. If they are not needed, as the head "
                "of one task, merge with extra='drop', which leaves them out."
            )


def _prefix(lacks: Sequence[str], more: Sequence[str]) -> str:
    """Return what stands in front of all names that a model has too many and makes them those it lacks, or ""."""
    prefix = more[0].removesuffix(lacks[0]) if more and more[0].endswith(lacks[0]) else ""
    return prefix if prefix and {prefix + name for name in lacks} == set(more) else ""


def _entry(
    method: MergingMethod,
    name: str,
    base: Mapping[str, Tensor] | None,
    models: Sequence[Mapping[str, Tensor]],
    everyone: Sequence[Mapping[str, Tensor]],
    rules: Rules,
    tied: str | None,
) -> Entry:
    first = everyone[0][name]
    found = [_find(model, name, tied, first) for model in everyone]
    for position, tensor in enumerate(found):
        if tensor.shape != first.shape:
            raise DataError(_shapes(name, everyone, position, tensor, first))
    flat = [tensor.detach().reshape(-1) for tensor in found]
    own = None if base is None else flat[0]
    rest = tuple(flat[len(flat) - len(models) :])
    if not all(tensor.dtype in FLOATS for tensor in flat):
        _check_plain(name, flat, everyone)
        return Entry(method, name, tuple(first.shape), first.dtype, first.dtype, own, rest, copy=flat[0], tied=tied)
    dtype = rules.dtype or first.dtype
    arithmetic = rules.arithmetic or _wide([tensor.dtype for tensor in flat])
    return Entry(method, name, tuple(first.shape), dtype, arithmetic, own, rest, tied=tied)


def _find(model: Mapping[str, Tensor], name: str, tied: str | None, first: Tensor) -> Tensor:
    if name in model:
        return model[name]
    return model[tied] if tied is not None and tied in model else first


def _wide(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    return torch.float32 if all(dtype.itemsize == 2 for dtype in dtypes) else torch.float64


def _check_plain(name: str, flat: Sequence[Tensor], everyone: Sequence[Mapping[str, Tensor]]) -> None:
    first = flat[0]
    for position, tensor in enumerate(flat):
        if tensor.dtype != first.dtype:
            raise DataError(
                f"{name} is {_type(tensor)} in {label(everyone[position], position)} and {_type(first)} in "
                f"{label(everyone[0], 0)}; convert one of them first"
            )
        if first.numel() > 1 and not same(tensor, first):
            raise DataError(
                f"{name} is {_type(first)} and differs between {label(everyone[0], 0)} and "
                f"{label(everyone[position], position)}; only float16, bfloat16, float32 and float64 can be merged. "
                "Quantised checkpoints must be dequantised first."
            )


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two flattened tensors hold the same bytes, without copying more than a block."""
    if one.data_ptr() == other.data_ptr():
        return True
    for start in range(0, one.numel(), BLOCK):
        pair = (tensor[start : start + BLOCK].contiguous().view(torch.uint8) for tensor in (one, other))
        if not torch.equal(*pair):
            return False
    return True


def _ties(first: Mapping[str, Tensor], everyone: Sequence[Mapping[str, Tensor]]) -> dict[str, str]:
    """Return ``{later name: earlier name}`` of matrices that are one and the same in every checkpoint that has both.

    Transformers stores a tied head once or twice, depending on the version that wrote the file.
    """
    seen: dict[tuple[torch.Size, torch.dtype, bytes], str] = {}
    ties: dict[str, str] = {}
    for name in dict.fromkeys([*first, *(name for model in everyone for name in model)]):
        tensor = next(model[name] for model in everyone if name in model)
        if tensor.ndim < 2 or not tensor.numel():
            continue
        start = tensor.detach().reshape(-1)[:32].contiguous().view(torch.uint8).cpu().numpy().tobytes()
        earlier = seen.setdefault((tensor.shape, tensor.dtype, start), name)
        if earlier != name and _always_equal(name, earlier, everyone):
            ties[name] = earlier
    return ties


def _always_equal(one: str, other: str, everyone: Sequence[Mapping[str, Tensor]]) -> bool:
    pairs = [(model[one], model[other]) for model in everyone if one in model and other in model]
    return bool(pairs) and all(
        a.shape == b.shape and a.dtype == b.dtype and same(a.detach().reshape(-1), b.detach().reshape(-1))
        for a, b in pairs
    )


def label(checkpoint: Mapping[str, Tensor], position: int) -> str:
    """Return how messages call a checkpoint: its path, else its place among those given."""
    return str(getattr(checkpoint, "label", f"checkpoint {position}"))


def _shapes(name: str, everyone: Sequence[Mapping[str, Tensor]], position: int, tensor: Tensor, first: Tensor) -> str:
    text = (
        f"{name} is {list(tensor.shape)} in {label(everyone[position], position)} and {list(first.shape)} in "
        f"{label(everyone[0], 0)}"
    )
    if tensor.ndim == first.ndim > 1 and tensor.shape[1:] == first.shape[1:]:
        return f"{text}: the vocabularies or classes differ; bring both to the same rows first"
    return f"{text}: these are not siblings of one architecture"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
