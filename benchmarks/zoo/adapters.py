"""Adapters merged as adapters: products exactly, at the rank of one, and by KnOTS; and factors, as a warning."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from benchmarks.zoo import lora
from benchmarks.zoo.judge import Judge, State, mean
from benchmarks.zoo.methods import SCALES
from torch import Tensor

from accord.merging import Adapter, KnOTS, Linear, MergingMethod, TaskArithmetic, adapt, merge_adapters, open_adapter

# Writes the merged adapter for a scale into a folder and returns what its rank leaves out.
Way = Callable[[float, Path], float]


def merge_as_adapters(judge: Judge, work: Path, done: Container[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield a record per way to merge a zoo's adapters into one adapter; nothing for a zoo without adapters.

    The scale is chosen as other methods' is. ``rank`` is the result's, and ``lost`` what it leaves out of the change,
    as a share of its length.
    """
    if not judge.zoo.factors:
        return
    factors = [judge.zoo.factors[task.name] for task in judge.tasks]
    folders = [lora.write(own, work / "adapters" / str(place)) for place, own in enumerate(factors)]
    for name, (way, default) in ways([open_adapter(folder) for folder in folders], factors).items():
        if name not in done:
            start = time.process_time()
            found = _judged(judge, way, default)
            yield {"method": name, "sees": "nothing", **found, "cpu_seconds": round(time.process_time() - start, 1)}


def ways(adapters: Sequence[Adapter], factors: Sequence[Mapping[str, Tensor]]) -> dict[str, tuple[Way, float]]:
    """Return the ways by name, each with its default scale; plain averages of factors where factors are averaged."""
    one, count = next(iter(adapters[0].modules.values())).rank, len(adapters)
    return {
        "adapters: exact sum": (partial(_products, adapters, TaskArithmetic, None), 0.3),
        "adapters: sum at one's rank": (partial(_products, adapters, TaskArithmetic, one), 0.3),
        "adapters: KnOTS": (partial(_products, adapters, KnOTS, count * one), 1.0),
        "adapters: KnOTS at one's rank": (partial(_products, adapters, KnOTS, one), 1.0),
        "adapters: factors averaged": (partial(_averaged, factors), 1 / count),
    }


def _products(
    adapters: Sequence[Adapter], make: Callable[..., MergingMethod], rank: int | None, scale: float, folder: Path
) -> float:
    merged = merge_adapters(adapters, make(scale=scale), rank=rank)
    merged.save(folder)
    return merged.error


def _averaged(factors: Sequence[Mapping[str, Tensor]], scale: float, folder: Path) -> float:
    """Average the A's and the B's apart, the mistake: of equal adapters it makes what a sum of products makes."""
    means = {name: torch.stack([own[name] for own in factors]).mean(0) for name in factors[0]}
    lora.write(means, folder, lora.ALPHA * scale * len(factors))
    return 0.0


def applied(base: State, way: Way, scale: float) -> tuple[dict[str, Tensor], Adapter, float]:
    """Return the base with the merged adapter in it, the adapter, and what its rank leaves out."""
    with TemporaryDirectory() as folder:
        lost = way(scale, Path(folder))
        adapter = open_adapter(folder)
        # A linear merge of one model is that model: it works the products out.
        return dict(Linear()(None, [adapt(base, adapter)])), adapter, lost


def _judged(judge: Judge, way: Way, default: float) -> dict[str, Any]:
    tried = {scale: mean(judge.scores(applied(judge.base, way, scale)[0], "validation")) for scale in SCALES}
    scale = max(tried, key=tried.__getitem__)
    state, adapter, lost = applied(judge.base, way, scale)
    return {
        "default": judge.scores(applied(judge.base, way, default)[0]), "tuned": judge.scores(state),
        "chosen": {"scale": scale}, "rank": max(part.rank for part in adapter.modules.values()), "lost": lost,
    }  # fmt: skip
