"""Recipes whose models are all adapters: what comes out is an adapter, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accord.errors import ConfigurationError, RunError
from accord.merging import manifest
from accord.merging.adapters.footprint import footprint
from accord.merging.adapters.merge_adapters import MergedAdapter, check_adapters, merge_adapters, modules_of
from accord.merging.adapters.open_adapter import Adapter
from accord.merging.guarding import alone
from accord.merging.memory import anonymous, check_limit
from accord.merging.merging_method import MergingMethod
from accord.merging.progress import Progress
from accord.merging.recipe.card import RECIPE_FILE, recipe_text
from accord.merging.recipe.dialect import find_dialect, meaningless, own_options
from accord.merging.recipe.entries import dtype_of
from accord.merging.recipe.inputs import Inputs
from accord.merging.recipe.resolved import resolved
from accord.merging.recipe.schema import Recipe, Source
from accord.merging.recipe.settings import resolve
from accord.merging.recipe.translate import Values
from accord.merging.writing import explained


@dataclass(frozen=True)
class AdapterPlan:
    """A merge of adapters into one, checked; nothing has been written yet.

    Attributes:
        recipe: what it says.
        method: what merges.
        adapters: its inputs.
        out: the folder of the result.
        notes: what there is to know.
        text: the complete recipe.
        memory: anonymous memory of the process at its peak, in bytes; an upper bound.
    """

    recipe: Recipe
    method: MergingMethod
    adapters: tuple[Adapter, ...]
    out: Path
    notes: tuple[str, ...]
    text: str
    memory: int

    @property
    def rank(self) -> int:
        """Rank of the result at most: what the recipe says, else the sum of the adapters' ranks."""
        return self.recipe.rank or _joined(self.adapters)

    @property
    def names(self) -> tuple[str, ...]:
        """What the recipe calls the adapters."""
        return tuple(str(source.model) for source in self.recipe.slices[0].sources)

    @property
    def fingerprint(self) -> str:
        """The recipe's and its adapters'."""
        return manifest.fingerprint([self.text], [adapter.checkpoint for adapter in self.adapters])

    def obstacle(self) -> str | None:
        """Return why :meth:`run` would write nothing into the folder as it is now; see :func:`manifest.obstacle`."""
        return manifest.obstacle(self.out, self.fingerprint)

    def run(self, progress: Progress | None = None) -> MergedAdapter:
        """Merge, and write the adapter, the recipe, a card and, last, the checksums.

        Args:
            progress: see :func:`accord.merging.merge_adapters`.

        Raises:
            RunError: the folder holds something already, or cannot be written.
        """
        with explained(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        with alone(self.out):
            if (reason := self.obstacle()) is not None:
                raise RunError(reason)
            options = {"rank": self.recipe.rank, "dtype": _stored(self.recipe), "progress": progress}
            merged = merge_adapters(self.adapters, self.method, **options)
            self._write(merged)
        return merged

    def _write(self, merged: MergedAdapter) -> None:
        begun = self.out / manifest.JOURNAL
        manifest.write(begun, {"fingerprint": self.fingerprint, "tensors": {}})
        small = {RECIPE_FILE: self.text.encode(), "README.md": _card(self, merged).encode()}
        files = merged.write(self.out, small)
        record = {
            "method": f"{self.recipe.method} of {', '.join(adapter.label for adapter in self.adapters)}",
            "inputs": [adapter.label for adapter in self.adapters],
            "fingerprint": self.fingerprint,
            "rank": {"rank": merged.rank, "left_out": dict(merged.errors), "in_all": merged.error},
            "files": files,
            "tensors": {name: manifest.digest(tensor) for name, tensor in sorted(merged.tensors.items())},
        }
        manifest.write(self.out / manifest.MANIFEST, record)
        begun.unlink()


def plan_adapters(recipe: Recipe, inputs: Inputs, out: str | Path, memory: int) -> AdapterPlan | None:
    """Return the plan if all models are adapters without a base, else ``None``.

    Args:
        recipe: what is asked for.
        inputs: opens adapters.
        out: folder of the result.
        memory: bytes of anonymous memory that the merge may take, besides what the process holds already and what the
            largest matrix takes.

    Raises:
        ConfigurationError: options that an adapter has no use for, or a method that needs a rank without one.
        DataError: an adapter is damaged or of a kind that cannot be merged, or they do not fit each other.
    """
    sources = recipe.slices[0].sources
    if recipe.sliced or not all(inputs.is_adapter(source.model) for source in sources):
        return None
    for name, value in (("tokenizer", recipe.tokenizer), ("chat_template", recipe.chat_template)):
        if value is not None:
            raise ConfigurationError(f"an adapter has no {name}: leave it out, or merge base+adapter")
    if recipe.pruning is not None:
        raise ConfigurationError(
            "layer_pruning ranks layers by the base's weights, which adapters alone do not hold: write each model as "
            "BASE+ADAPTER, which makes a whole model of them, or leave layer_pruning out"
        )
    method, notes = _method(recipe, sources)
    text = recipe_text(resolved(recipe, inputs, find_dialect(recipe.method)))
    if Path(out).is_file():
        raise ConfigurationError(f"{out} is a file, and the result of a merge is a folder")
    opened = tuple(inputs.adapter(source.model) for source in sources)
    summed = check_adapters(opened, method, recipe.rank) is not None
    itemsize = _stored(recipe).itemsize
    rank = recipe.rank or _joined(opened)
    own, needed = footprint(modules_of(opened), method, summed=summed, rank=rank, itemsize=itemsize)
    check_limit(own, memory)
    return AdapterPlan(recipe, method, opened, Path(out), tuple(notes), text, anonymous() + needed)


def _joined(adapters: Sequence[Adapter]) -> int:
    return sum(max(factors.rank for factors in adapter.modules.values()) for adapter in adapters)


def _stored(recipe: Recipe) -> torch.dtype:
    return dtype_of(recipe.dtype) or torch.float32


def _method(recipe: Recipe, sources: Sequence[Source]) -> tuple[MergingMethod, list[str]]:
    dialect = find_dialect(recipe.method)
    scopes: list[Mapping[str, Any]] = [*(source.parameters for source in sources), recipe.parameters]
    at_models = [name for source in sources for name in source.parameters]
    notes = meaningless(recipe.method, list(recipe.parameters), at_models)
    if own_options(recipe.method) is not None:
        shared: dict[str, Any] = dict(recipe.parameters)
        return dialect.make(Values(shared, [dict(s.parameters) for s in sources], recipe.seed)), notes
    for scope in scopes:
        for name, value in scope.items():
            if isinstance(value, list | Mapping):
                raise ConfigurationError(
                    f"{name}: gradients and filters are for models; adapters alone take one number. "
                    "Write each as BASE+ADAPTER, which makes a whole model of them, or give a number"
                )
    around = (recipe.parameters,)
    shared = {o.name: resolve(o, around, "", 0.0, "the recipe") for o in dialect.options if not o.each}
    each = [
        {o.name: resolve(o, (s.parameters, *around), "", 0.0, str(s.model)) for o in dialect.options if o.each}
        for s in sources
    ]
    return dialect.make(Values(shared, each, recipe.seed)), notes


def _card(plan: AdapterPlan, merged: MergedAdapter) -> str:
    inputs = "\n".join(f"- `{name}`" for name in plan.names)
    exact = "Nothing is lost by the rank." if not merged.error else f"The rank leaves out {merged.error:.2%} (norm)."
    return (
        f"---\nlibrary_name: peft\ntags: [merge, accord]\n---\n\n# {plan.out.name}\n\nA LoRA adapter of rank "
        f"{merged.rank}, merged with Accord by `{plan.recipe.method}` out of:\n\n{inputs}\n\n"
        f"Changes of the base were merged, not factors. {exact}\n\n```yaml\n{recipe_text(plan.recipe.raw)}```\n"
    )
