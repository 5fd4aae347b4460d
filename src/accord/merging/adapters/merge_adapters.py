"""Merge adapters into one adapter: exactly, with their ranks added up, or as near as a stated rank allows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from accord.errors import ConfigurationError, DataError, RunError
from accord.merging.adapters.dense import merge_changes
from accord.merging.adapters.factors import Factors
from accord.merging.adapters.open_adapter import ADAPTER_CONFIG, PREFIX, WEIGHTS, Adapter
from accord.merging.adapters.products import check_alike, concatenate, decompose, shape_of, truncate
from accord.merging.beside import write_beside
from accord.merging.combination import Combination
from accord.merging.in_memory import warn_not_finite
from accord.merging.merging_method import MergingMethod
from accord.merging.progress import MERGING, Progress, Tally
from accord.merging.writing import explained, write_whole


@dataclass(frozen=True)
class MergedAdapter:
    """An adapter made of others.

    Attributes:
        config: its ``adapter_config.json``.
        tensors: its factors, by PEFT's names.
        rank: of every module; smaller ones are filled up with zeros.
        errors: of each module, the length of what the rank leaves out divided by that of the merged change; 0 where
            nothing is left out.
        error: the same of all modules together.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    rank: int
    errors: Mapping[str, float]
    error: float

    def save(self, folder: str | Path) -> Path:
        """Write ``adapter_model.safetensors`` and then ``adapter_config.json`` into a new or empty folder.

        Raises:
            RunError: it holds something already, or cannot be written.
        """
        folder = Path(folder)
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; remove it or choose another folder")
        self.write(folder)
        return folder

    def write(self, folder: Path, more: Mapping[str, bytes] | None = None) -> dict[str, str]:
        """Write both files and then ``more`` into ``folder``, whatever it holds, each whole or not at all.

        Returns:
            Checksums of the small ones; see :func:`accord.merging.beside.write_beside`.
        """
        write_whole(folder / WEIGHTS[0], save(dict(self.tensors), {"format": "pt"}))
        config = (json.dumps(dict(self.config), indent=2) + "\n").encode()
        return write_beside(folder, {ADAPTER_CONFIG: config, **(more or {})})


def merge_adapters(
    adapters: Sequence[Adapter],
    method: MergingMethod,
    *,
    rank: int | None = None,
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> MergedAdapter:
    """Merge the changes that adapters make of one base.

    The change of a module is ``scale B A``, and changes are what is merged, never factors. A weighted sum of changes is
    written down exactly by stacking the factors, at the sum of the ranks, and ``rank`` makes that smaller: the best
    approximation of that rank, found without multiplying anything out. Other methods merge the changes multiplied out,
    block by block and all modules together, so that what ranks entries of the whole model ranks those of all changes;
    they need a ``rank`` for what comes of it.

    Args:
        adapters: of the same base.
        method: weighted sums are exact: :class:`~accord.merging.Linear`, :class:`~accord.merging.TaskArithmetic` and
            soups. The base of the others is a change of 0.
        rank: of the result; the sum of the ranks when left out.
        dtype: of the result. The default keeps the sum exact to its rounding.
        progress: told ``(done, whole, phase)``: bytes of the changes in float64, and whether they are of a pass before
            or ``"merging"``.

    Raises:
        DataError: DoRA, whose change is no sum; tensors replaced as a whole, which have no change without the base;
            modules that do not fit each other; or numbers that are not finite, of which no rank comes near.
        ConfigurationError: a method that needs a rank, and none is given.
    """
    weighted = check_adapters(adapters, method, rank)
    modules = modules_of(adapters)
    merged: dict[str, tuple[Factors, Tensor, Tensor]] = {}
    lost: dict[str, tuple[float, float]] = {}
    tally, sizes = Tally(progress), {module: 8 * math.prod(shape_of(parts)) for module, parts in modules.items()}
    for module, left, right, gone in _cuts(modules, method, weighted, rank, dtype, progress):
        if not merged:
            tally.begin(MERGING, sum(sizes.values()))
        tally.add(sizes[module])
        like = next(part for part in modules[module] if part is not None)
        if odd := sum(int((~torch.isfinite(side)).sum()) for side in (left, right)):
            warn_not_finite(f"the factors of {module}", odd)
        merged[module], lost[module] = (like, left, right), gone
    width = max(right.shape[0] for _, _, right in merged.values())
    return _assembled(adapters, merged, lost, width)


def check_adapters(adapters: Sequence[Adapter], method: MergingMethod, rank: int | None) -> Combination | None:
    """Refuse what :func:`merge_adapters` refuses; return the method if it is a weighted sum of the changes."""
    if not adapters:
        raise ConfigurationError("there is no adapter to merge")
    _check(adapters)
    for parts in modules_of(adapters).values():
        check_alike(parts)
    method.admit(len(adapters), method.base == "needed")
    # Weights that look at no tensor hold for the factors of all modules alike.
    if isinstance(method, Combination) and method.survey(len(adapters), 1, True) is None:
        return method
    if rank is None:
        raise ConfigurationError(
            f"what {type(method).__name__} makes of low-rank changes has full rank: give the rank of the result"
        )
    return None


def modules_of(adapters: Sequence[Adapter]) -> dict[str, list[Factors | None]]:
    """Return the factors of every module that an adapter changes, one for each adapter, ``None`` where it does not."""
    names = dict.fromkeys(module for adapter in adapters for module in adapter.modules)
    return {name: [adapter.modules.get(name) for adapter in adapters] for name in names}


def _cuts(
    modules: Mapping[str, list[Factors | None]],
    method: MergingMethod,
    weighted: Combination | None,
    rank: int | None,
    dtype: torch.dtype,
    progress: Progress | None,
) -> Iterator[tuple[str, Tensor, Tensor, tuple[float, float]]]:
    """Yield each module, the factors ``[rows, r]`` and ``[r, width]`` of its merged change, and what they leave out."""
    if weighted is None:
        assert rank is not None
        for module, change in merge_changes(method, modules, progress):
            _check_finite(module, rank, change)
            left, right, gone = decompose(change, rank)
            yield module, left.to(dtype), right.to(dtype), gone
        return
    for module, parts in modules.items():
        left, right = concatenate(parts, weighted.coefficients(len(parts), True, None)[1:])
        gone = (0.0, 1.0)
        if rank is not None:
            _check_finite(module, rank, left, right)
            left, right, gone = truncate(left, right, rank)
        yield module, left.to(dtype), right.to(dtype), gone


def _check_finite(module: str, rank: int, *made: Tensor) -> None:
    if not all(bool(torch.isfinite(tensor).all()) for tensor in made):
        raise DataError(
            f"the merged change of {module} has numbers that are not finite, and nothing of rank {rank} comes near it: "
            "an adapter is damaged there, or was trained until it diverged; leave it out"
        )


def _assembled(
    adapters: Sequence[Adapter],
    merged: Mapping[str, tuple[Factors, Tensor, Tensor]],
    lost: Mapping[str, tuple[float, float]],
    rank: int,
) -> MergedAdapter:
    tensors: dict[str, Tensor] = {}
    for module, (like, left, right) in merged.items():
        missing = rank - right.shape[0]
        left = torch.nn.functional.pad(left, (0, missing))
        right = torch.nn.functional.pad(right, (0, 0, 0, missing))
        flipped = like.kind == "embedding" or like.transposed
        a, b = (left.T, right.T) if flipped else (right, left)
        infix, end = ("embedding_", "") if like.kind == "embedding" else ("", ".weight")
        tensors[f"{PREFIX}{module}.lora_{infix}A{end}"] = a.reshape(rank, *like.a.shape[1:]).contiguous()
        tensors[f"{PREFIX}{module}.lora_{infix}B{end}"] = b.reshape(-1, rank, *like.b.shape[2:]).contiguous()
    config = dict(adapters[0].config)
    config |= {"r": rank, "lora_alpha": rank, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}
    config |= {"target_modules": sorted(merged), "init_lora_weights": True, "inference_mode": True}
    whole = sum(size for _, size in lost.values())
    errors = {module: (gone / size) ** 0.5 if size else 0.0 for module, (gone, size) in lost.items()}
    total = (sum(gone for gone, _ in lost.values()) / whole) ** 0.5 if whole else 0.0
    return MergedAdapter(config, tensors, rank, errors, total)


def _check(adapters: Sequence[Adapter]) -> None:
    for adapter in adapters:
        if any(factors.magnitude is not None for factors in adapter.modules.values()):
            raise DataError(
                f"{adapter.label} is a DoRA adapter, whose change is no sum of products; merge it onto its base "
                "(base+adapter) instead"
            )
        if adapter.whole:
            raise DataError(
                f"{adapter.label} replaces {next(iter(adapter.whole))} as a whole, which is no change without its "
                "base; merge it onto its base (base+adapter) instead"
            )
    flags = {bool(adapter.config.get("fan_in_fan_out")) for adapter in adapters}
    bases = {str(adapter.config.get("base_model_name_or_path")) for adapter in adapters}
    if len(flags) > 1:
        raise DataError("the adapters differ in fan_in_fan_out: they belong to different bases")
    if len(bases) > 1 and "None" not in bases:
        raise DataError(
            f"the adapters name different bases: {', '.join(sorted(bases))}; correct {ADAPTER_CONFIG} if not"
        )
