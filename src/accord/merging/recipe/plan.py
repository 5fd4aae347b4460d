"""From a recipe to a plan that can be shown, and run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.errors import ConfigurationError
from accord.merging.companions import check_companions, gather_companions
from accord.merging.entry import Entry
from accord.merging.memory import MEGABYTE
from accord.merging.merge_files import MergePlan, plan_entries
from accord.merging.progress import Progress
from accord.merging.recipe.card import RECIPE_FILE, card, recipe_text
from accord.merging.recipe.chat import chosen_template, template_files
from accord.merging.recipe.configuration import as_bytes, layers_told, with_layers, with_tokens
from accord.merging.recipe.dialect import Dialect, find_dialect, meaningless
from accord.merging.recipe.entries import entries_of
from accord.merging.recipe.filters import without_effect
from accord.merging.recipe.heads import give_heads, untied
from accord.merging.recipe.inputs import Inputs, Model
from accord.merging.recipe.parts import Part, parts_of
from accord.merging.recipe.resolved import resolved
from accord.merging.recipe.schema import Recipe
from accord.merging.shards import Shard
from accord.merging.vocabulary.of_recipe import Vocabulary, vocabulary_of

# Methods in which a base that is no source counts as one more input.
COUNTS_BASE = ("linear", "karcher", "karcher_mean")


@dataclass(frozen=True)
class RecipePlan:
    """A recipe that has been checked against its models; nothing has been written yet.

    Attributes:
        recipe: what it says.
        merge: what will be done.
        models: its inputs, the one that the configuration comes from first.
        models_of: the names of the models that each tensor is merged from, without its base.
        notes: what there is to know: options that decide nothing, differences from mergekit, what is left behind.
        text: the complete recipe, which is stored with the result.
    """

    recipe: Recipe
    merge: MergePlan
    models: tuple[Model, ...]
    models_of: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    text: str

    @property
    def out(self) -> Path:
        """The folder of the result."""
        return self.merge.out

    @property
    def fingerprint(self) -> str:
        """The merge's."""
        return self.merge.fingerprint

    @property
    def methods(self) -> list[tuple[str, int]]:
        """How many tensors each method merges, in order of first use."""
        counts: dict[str, int] = {}
        for entry in self.merge.entries:
            name = "copied" if entry.copy is not None else repr(entry.method)
            counts[name] = counts.get(name, 0) + 1
        return list(counts.items())

    def obstacle(self) -> str | None:
        """Return what is in the way of :meth:`run`; see :meth:`MergePlan.obstacle`."""
        return self.merge.obstacle()

    def run(self, progress: Progress | None = None) -> Path:
        """Merge; see :meth:`MergePlan.run`."""
        return self.merge.run(progress)

    def mend(self, progress: Progress | None = None) -> Path:
        """Merge again what the finished result has lost; see :meth:`MergePlan.mend`."""
        return self.merge.mend(progress)


def plan_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    folder: str | Path = ".",
    made: Mapping[str, Path] | None = None,
    threads: int | None = None,
    memory: int = 600 * MEGABYTE,
    shard_bytes: int = 2_000_000_000,
) -> RecipePlan:
    """Open and check everything a recipe needs; :meth:`RecipePlan.run` then does it.

    Args:
        recipe: as :func:`read_recipes` returns it.
        out: folder of the result; new, empty, or of the same merge when it was killed.
        folder: in which relative paths are looked for, after the current one.
        made: results of other recipes by name.
        threads: see :func:`accord.merging.plan_merge`.
        memory: likewise.
        shard_bytes: likewise.

    Raises:
        ConfigurationError: a method or parameter that there is not, or that does not fit the models.
        DataError: a model is missing or damaged, or they do not fit each other.
    """
    dialect = find_dialect(recipe.method)
    inputs = Inputs(Path(folder), made or {})
    notes = _said(recipe, dialect)
    given = give_heads(recipe, inputs)
    notes += [f"the head of {model.label} is its embedding; it is merged as a head of its own" for model in given]
    parts = parts_of(recipe, inputs, dialect.base != "input" or recipe.method in COUNTS_BASE)
    leader = inputs.model(recipe.leader())
    members = list(dict.fromkeys(member.model for part in parts for member in part.members))
    notes += without_effect(recipe, parts)
    vocabulary = vocabulary_of(recipe, inputs, members, leader)
    entries, models_of = entries_of(recipe, parts, vocabulary.instead)
    models = tuple(dict.fromkeys([leader, *inputs.opened]))
    notes += [*vocabulary.notes, *_left_behind(leader)]
    config = untied(leader.config) if leader in given else leader.config
    files, more = _configured(recipe, leader, config, parts, vocabulary)
    template = chosen_template(recipe.chat_template, [model.folder for model in members])
    files |= vocabulary.files | template_files(template, leader.folder, vocabulary.files)
    check_companions(leader.read[0], files)
    text = recipe_text(resolved(recipe, inputs, dialect))
    notes += more
    beside = _beside(recipe, leader, models, files, text, tuple(notes))
    merge = plan_entries(
        _sorted(entries),
        out,
        [checkpoint for model in models for checkpoint in model.read],
        title=f"{_method(recipe)} of {', '.join(model.label for model in models)}",
        settings=[text, json.dumps(vocabulary.settings)],
        beside=beside,
        threads=threads,
        memory=memory,
        shard_bytes=shard_bytes,
        pruning=recipe.pruning,
    )
    return RecipePlan(recipe, merge, models, models_of, tuple(notes), text)


def _said(recipe: Recipe, dialect: Dialect) -> list[str]:
    around = [recipe.parameters, *(part.parameters for part in recipe.slices)]
    at_models = [source.parameters for part in recipe.slices for source in part.sources]
    notes = meaningless(
        recipe.method, [name for scope in around for name in scope], [name for scope in at_models for name in scope]
    )
    if recipe.rank is not None:
        notes.append("rank decides nothing: it is that of an adapter which adapters alone are merged into")
    if recipe.layers is not None and not recipe.sliced:
        notes.append("layers decides nothing: it says which stack slices are cut from, and there are none")
    if recipe.pruning is not None:
        notes.append(f"layers are ranked and dropped first: {recipe.pruning.told()}")
    if any(part.residual_weight is not None for part in recipe.slices):
        notes.append("residual_weight decides nothing, as in mergekit: scale o_proj and down_proj by filters instead")
    return notes + ([f"unlike mergekit's {recipe.method}: {dialect.notes}"] if dialect.notes else [])


def _method(recipe: Recipe) -> str:
    return recipe.method if recipe.pruning is None else f"{recipe.method} after layer pruning"


def _left_behind(leader: Model) -> list[str]:
    if "auto_map" in leader.config:
        return [f"{leader.label} comes with code of its own, which is not copied: take it from there if you trust it"]
    return []


def _configured(
    recipe: Recipe, leader: Model, config: Mapping[str, Any], parts: Sequence[Part], vocabulary: Vocabulary
) -> tuple[dict[str, bytes | None], list[str]]:
    """Return the configuration, where it is another than the leader's, and what there is to say about it."""
    notes: list[str] = []
    if not config:
        return {}, notes
    picks = [pick for part in parts for pick in part.picks]
    if recipe.sliced:
        before = layers_told(config)
        config, changed = with_layers(config, picks)
        if before is None:
            notes.append("config.json does not say how many layers there are; see to it by hand")
        elif changed:
            notes.append(f"config.json: {before} layers become {len(picks)} ({', '.join(changed)})")
    if vocabulary.rows is not None:
        config = with_tokens(config, vocabulary.rows)
    return ({"config.json": as_bytes(config)} if config != leader.config else {}), notes


def _beside(
    recipe: Recipe,
    leader: Model,
    models: Sequence[Model],
    files: Mapping[str, bytes | None],
    text: str,
    notes: Sequence[str],
) -> Callable[[Path, Sequence[Shard]], dict[str, bytes]]:
    def gather(folder: Path, shards: Sequence[Shard]) -> dict[str, bytes]:
        made: dict[str, bytes | None] = {
            **files,
            # Cards are published: whose folders the models lay in is nobody's business.
            "README.md": card(folder.name, recipe, models, recipe_text(recipe.raw), notes).encode(),
            RECIPE_FILE: text.encode(),
        }
        return gather_companions(leader.read[0], shards, made)

    return gather


def _sorted(entries: Sequence[Entry]) -> list[Entry]:
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"two slices would both write {twice}")
    return list(entries)


def with_seed(recipe: Recipe, seed: int | None) -> Recipe:
    """Return the recipe with another seed, if one is given.

    Raises:
        ConfigurationError: it is negative.
    """
    if seed is not None and seed < 0:
        raise ConfigurationError(f"seed is a whole number of 0 or more; got {seed}")
    return recipe if seed is None else replace(recipe, seed=seed)
