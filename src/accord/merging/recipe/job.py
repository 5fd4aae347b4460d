"""A file of recipes: planned and run one after the other, each using the results of those before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import ConfigurationError, RunError
from accord.merging import manifest
from accord.merging.memory import MEGABYTE
from accord.merging.open_checkpoint import expanded
from accord.merging.progress import Progress
from accord.merging.recipe.adapter_plan import AdapterPlan, plan_adapters
from accord.merging.recipe.inputs import Inputs
from accord.merging.recipe.plan import RecipePlan, plan_recipe, with_seed
from accord.merging.recipe.read import read_recipes
from accord.merging.recipe.schema import Recipe


@dataclass(frozen=True)
class Job:
    """Recipes and where their results go.

    Attributes:
        recipes: in the order in which they must be run; the last one's result is wanted.
        out: its folder; results of the others lie in ``OUT.steps``, under their names, and stay there.
        folder: in which relative paths are looked for, after the current one.
        threads: see :func:`accord.merging.plan_merge`.
        memory: likewise.
        shard_bytes: likewise.
    """

    recipes: tuple[Recipe, ...]
    out: Path
    folder: Path
    threads: int | None = None
    memory: int = 600 * MEGABYTE
    shard_bytes: int = 2_000_000_000

    def folder_of(self, recipe: Recipe) -> Path:
        """Return where the result of a recipe goes."""
        if recipe is self.recipes[-1]:
            return self.out
        return self.out.with_name(f"{self.out.name}.steps") / str(recipe.name)

    def made(self) -> dict[str, Path]:
        """Return where results that recipes use by name are, or will be."""
        return {recipe.name: self.folder_of(recipe) for recipe in self.recipes[:-1] if recipe.name is not None}

    def ready(self, recipe: Recipe) -> bool:
        """Return whether the results that a recipe uses are there."""
        made = self.made()
        return all(made[r.path].is_dir() for r in recipe.references() if r.path in made)

    def plan(self, recipe: Recipe) -> RecipePlan | AdapterPlan:
        """Check a recipe whose inputs are there.

        Raises:
            ConfigurationError: a method or parameter that there is not, or that does not fit the models.
            DataError: a model is missing or damaged, or they do not fit each other.
        """
        out = self.folder_of(recipe)
        if (adapters := plan_adapters(recipe, Inputs(self.folder, self.made()), out, self.memory)) is not None:
            return adapters
        return plan_recipe(
            recipe,
            out,
            folder=self.folder,
            made=self.made(),
            threads=self.threads,
            memory=self.memory,
            shard_bytes=self.shard_bytes,
        )

    def finished(self, recipe: Recipe) -> bool:
        """Return whether a step that others use has been taken, by the same recipe and from the same models.

        Raises:
            RunError: it has, and its result was damaged or changed since.
        """
        if recipe is self.recipes[-1] or not self.ready(recipe):
            return False
        folder = self.folder_of(recipe)
        record = manifest.read(folder / manifest.MANIFEST)
        if record is None or record["fingerprint"] != self.plan(recipe).fingerprint:
            return False
        if (reason := manifest.damage(folder)) is not None:
            raise RunError(f"{reason}; the step is taken again when {folder} is removed")
        return True


def begin_job(
    source: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    seed: int | None = None,
    threads: int | None = None,
    memory: int = 600 * MEGABYTE,
    shard_bytes: int = 2_000_000_000,
) -> Job:
    """Read a file of recipes.

    Args:
        source: a file, YAML text, or a mapping.
        out: folder of the result; ``~`` is your home.
        seed: of random masks, in place of the recipes' own.
        threads: at most.
        memory: bytes of anonymous memory at most.
        shard_bytes: size of the result's files.

    Raises:
        ConfigurationError: it is no recipe, or the folder is none that the system could make.
    """
    recipes = tuple(with_seed(recipe, seed) for recipe in read_recipes(source))
    folder = expanded(out)
    try:
        folder.exists()
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be the folder of the result: {error.strerror or error}") from error
    return Job(recipes, folder, _folder(source), threads, memory, shard_bytes)


def _folder(source: str | Path | Mapping[str, Any]) -> Path:
    if isinstance(source, Mapping) or (isinstance(source, str) and "\n" in source):
        return Path()
    return Path(source).expanduser().parent


def merge_recipe(
    source: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    seed: int | None = None,
    threads: int | None = None,
    memory: int = 600 * MEGABYTE,
    shard_bytes: int = 2_000_000_000,
    progress: Progress | None = None,
) -> Path:
    """Merge what a recipe says; a merge that was killed goes on where it was.

    Args:
        source: a recipe: a file in mergekit's format, YAML text, or a mapping.
        out: folder of the result; new, empty, or of the same merge when it was killed.
        seed: of random masks, in place of the recipe's own.
        threads: at most; one per core when left out. The result does not depend on it.
        memory: bytes of anonymous memory that the process may take.
        shard_bytes: size of the result's files.
        progress: told ``(done, whole, phase)``: bytes, and whether they are ``"writing"`` or of a pass before that.

    Returns:
        The folder of the result.

    Raises:
        ConfigurationError: the recipe says something that cannot be.
        DataError: a model is missing or damaged, or they do not fit each other.
        RunError: the folder holds something else, or cannot be written.
    """
    job = begin_job(source, out, seed=seed, threads=threads, memory=memory, shard_bytes=shard_bytes)
    for recipe in job.recipes:
        if job.finished(recipe):
            continue
        job.plan(recipe).run(progress)
    return job.out
