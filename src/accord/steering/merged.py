"""A front of merges: one recipe at many preferences, each a checkpoint, measured by whoever knows how."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from accord import __version__
from accord.errors import ConfigurationError, DataError, RunError
from accord.merging import Job, Recipe, RecipePlan, begin_job, manifest
from accord.merging.fronts import EVALUATION
from accord.merging.writing import explained, write_whole
from accord.steering.front import SOLUTIONS
from accord.steering.grid import preference_grid
from accord.steering.open import FrontRun, open_front
from accord.steering.results import knee, undominated

Scores = Mapping[str, Mapping[str, float]]
Evaluate = Callable[[Path], Scores]
# Everything in one file: a point is merged in one go, and a killed sweep goes on with the point in flight.
ONE_FILE = 1 << 62


def merge_front(
    source: str | Path | Mapping[str, Any],
    out: str | Path,
    evaluate: Evaluate,
    *,
    points: int = 11,
    seed: int | None = None,
    threads: int | None = None,
    memory: int = 600 << 20,
    progress: Callable[[str], None] | None = None,
) -> FrontRun:
    """Merge a recipe at evenly spaced preferences, measure every result, and write a front directory.

    One model per task, in the same order: a preference is a point of the simplex over them. At each, a model's
    ``weight`` in the recipe is multiplied by its share times the number of models, so that equal shares are the recipe
    itself. With ``linear`` and equal weights these are rewarded soups (Rame et al., 2023). What has been merged and
    measured is kept when the sweep is killed, and the same call goes on: it reads every merge that is there, and makes
    those again whose files are no longer what was written; their scores stay, for the bits are the same again.

    Args:
        source: a recipe: a file, YAML text or a mapping, whose method has a ``weight`` for each model.
        out: the front directory; each point is a checkpoint in ``solutions/000``, ``001``, ...
        evaluate: returns ``{task: {"loss": value, metric: value, ...}}``, or ``{task: score}``, of a checkpoint's
            folder, one task per model in the models' order. Losses are minimised, all other metrics maximised; without
            a loss the first metric's negative takes its place.
        points: at least so many preferences, the single models among them.
        seed: of random masks.
        threads: at most.
        memory: bytes of anonymous memory at most.
        progress: told in words what happens.

    Raises:
        ConfigurationError: the recipe has several steps or slices, or no weight for each model.
        DataError: a model is missing or damaged, or the evaluation returns something else than described.
        RunError: the directory cannot be written, or holds another sweep.
    """
    sweep = Sweep.read(source, out, points=points, seed=seed, threads=threads, memory=memory)
    with explained(sweep.job.out):
        (sweep.job.out / SOLUTIONS).mkdir(parents=True, exist_ok=True)
    measured = []
    for number, preference in enumerate(sweep.preferences):
        if progress is not None:
            shares = ", ".join(f"{share:.2f}" for share in preference)
            progress(f"point {number + 1} of {len(sweep.preferences)}: {shares}")
        measured.append(_point(sweep, number, evaluate, progress))
    facts = _facts(sweep.recipe, sweep.preferences, measured)
    write_whole(sweep.job.out / "front.json", (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    return open_front(sweep.job.out)


@dataclass(frozen=True)
class Sweep:
    """A recipe and the preferences at which it is merged; nothing has been opened or written yet.

    Attributes:
        job: the recipe's, with the front directory as its output.
        recipe: its only one.
        places: of the models that preferences are over, among the recipe's sources.
        preferences: shares of these models, one list for each point.
    """

    job: Job
    recipe: Recipe
    places: list[int]
    preferences: list[list[float]]

    @classmethod
    def read(
        cls,
        source: str | Path | Mapping[str, Any],
        out: str | Path,
        *,
        points: int,
        seed: int | None,
        threads: int | None,
        memory: int,
    ) -> Sweep:
        """Read a recipe that can be swept over; the arguments are those of :func:`merge_front`.

        Raises:
            ConfigurationError: it has several steps or slices, or no weight for each model.
        """
        job = begin_job(source, out, seed=seed, threads=threads, memory=memory, shard_bytes=ONE_FILE)
        recipe = _only(job)
        places = [n for n, each in enumerate(recipe.slices[0].sources) if each.model != recipe.base]
        return cls(job, recipe, places, preference_grid(len(places), points).tolist())

    def folder(self, number: int) -> Path:
        """Return where the merge at a point goes."""
        return self.job.out / SOLUTIONS / f"{number:03d}"

    def plan(self, number: int) -> RecipePlan:
        """Check the merge at a point.

        Raises:
            ConfigurationError: the models are adapters, or the method does not take them.
            DataError: a model is missing or damaged, or they do not fit each other.
        """
        recipe = at_preference(self.recipe, self.places, self.preferences[number])
        plan = replace(self.job, recipes=(recipe,), out=self.folder(number)).plan(recipe)
        if not isinstance(plan, RecipePlan):
            raise ConfigurationError("a front is swept over models; merge adapters onto their base (base+adapter)")
        return plan


def at_preference(recipe: Recipe, places: list[int], preference: list[float]) -> Recipe:
    """Return the recipe at a preference, one share for each of the sources in ``places``."""
    (only,) = recipe.slices
    sources = list(only.sources)
    for place, share in zip(places, preference, strict=True):
        given = sources[place].parameters
        weight = given.get("weight", recipe.parameters.get("weight"))
        scaled = {**given, "weight": _times(weight, share * len(places))}
        sources[place] = replace(sources[place], parameters=scaled)
    raw = {**recipe.raw, "models": [_raw(source) for source in sources]}
    return replace(recipe, slices=(replace(only, sources=tuple(sources)),), raw=raw)


def _raw(source: Any) -> dict[str, Any]:
    return {"model": str(source.model), **({"parameters": dict(source.parameters)} if source.parameters else {})}


def _times(setting: Any, factor: float) -> Any:
    if isinstance(setting, list):
        return [_times(entry, factor) for entry in setting]
    if isinstance(setting, Mapping):
        return {**setting, "value": _times(setting.get("value"), factor)}
    return factor * float(setting)


def _only(job: Job) -> Recipe:
    recipe = job.recipes[0]
    if len(job.recipes) > 1 or recipe.sliced:
        raise ConfigurationError(
            "a front is swept over one recipe of whole models, without slices or further documents"
        )
    sources = [each for each in recipe.slices[0].sources if each.model != recipe.base]
    lacking = [each.model for each in sources if "weight" not in each.parameters and "weight" not in recipe.parameters]
    if lacking or len(sources) < 2:
        what = f"{lacking[0]} has none" if lacking else "it has one model"
        raise ConfigurationError(f"a front needs two models or more, each with a weight that can be varied; {what}")
    return recipe


def _point(sweep: Sweep, number: int, evaluate: Evaluate, say: Callable[[str], None] | None) -> Scores:
    folder, plan = sweep.folder(number), sweep.plan(number)
    record = folder.with_suffix(".json")
    known = _known(record, plan, len(sweep.places))
    _make_whole(plan, say)
    if known is not None:
        return known
    scores = _checked(evaluate(folder), folder, len(sweep.places))
    content = {"fingerprint": plan.fingerprint, "scores": scores}
    write_whole(record, (json.dumps(content, indent=1) + "\n").encode())
    return scores


def _make_whole(plan: RecipePlan, say: Callable[[str], None] | None) -> None:
    """Merge, unless that was done and every byte of it is there still."""
    made = manifest.read(plan.out / manifest.MANIFEST)
    if made is None or (plan.out / manifest.JOURNAL).is_file():
        plan.run()
        return
    if made["fingerprint"] != plan.fingerprint:
        raise RunError(f"{plan.out} is of another sweep; remove {plan.out.parent} or choose another folder")
    if (reason := manifest.damage(plan.out)) is not None:
        if say is not None:
            say(f"{plan.out} is merged again: {reason}")
        plan.mend()


def _known(record: Path, plan: RecipePlan, tasks: int) -> Scores | None:
    """Return what a point was measured at, or ``None`` where nobody did, or the record of it is damaged."""
    try:
        content = json.loads(record.read_text("utf-8"))
        before, scores = content["fingerprint"], _checked(content["scores"], plan.out, tasks)
    except (OSError, ValueError, KeyError, TypeError, DataError):
        return None
    if before != plan.fingerprint:
        raise RunError(f"{record.parent} holds another sweep; remove it or choose another folder")
    return scores


def _checked(scores: Any, folder: Path, tasks: int) -> dict[str, dict[str, float]]:
    if not isinstance(scores, Mapping) or len(scores) != tasks:
        raise DataError(f"the evaluation of {folder} is to return one entry for each of {tasks} models; got {scores!r}")
    found: dict[str, dict[str, float]] = {}
    for task, metrics in scores.items():
        told = metrics if isinstance(metrics, Mapping) else {"score": metrics}
        if not told or not all(isinstance(value, int | float) and math.isfinite(value) for value in told.values()):
            raise DataError(f"the evaluation of {folder} says {metrics!r} of {task}: expected finite numbers by metric")
        values = {str(name): float(value) for name, value in told.items()}
        found[str(task)] = values if "loss" in values else {"loss": -next(iter(values.values())), **values}
    return found


def _facts(recipe: Recipe, grid: list[list[float]], measured: list[Scores]) -> dict[str, Any]:
    names = list(measured[0])
    losses = torch.tensor([[scores[task]["loss"] for task in names] for scores in measured], dtype=torch.float64)
    good = undominated(losses)
    found = [
        {"preference": preference, **_told(scores), "split": EVALUATION, "dominated": not kept}
        for preference, scores, kept in zip(grid, measured, good, strict=True)
    ]
    kept = sum(good)
    return {
        "accord": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "interrupted": False,
        "kind": "set",
        "method": recipe.method,
        "tasks": [_task(task, measured[0][task]) for task in names],
        "rows": {},
        "reference": losses.max(dim=0).values.tolist(),
        "points": found,
        "knee": knee(losses),
        "paragraph": (
            f"{len(grid)} merges by {recipe.method}, one for each preference; no other is better than "
            f"{kept} of them. Figures are those of the evaluation, without intervals."
        ),
        "warnings": [],
        "notes": [f"the merge at a preference is solutions/NNN, of the models {', '.join(map(str, _models(recipe)))}"],
    }


def _models(recipe: Recipe) -> list[Any]:
    return [source.model for source in recipe.slices[0].sources if source.model != recipe.base]


def _task(name: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    shown = [metric for metric in metrics if metric != "loss"] or ["loss"]
    described = {
        metric: {"label": metric, "higher_is_better": metric != "loss", "unit": "", "scale": 1.0} for metric in shown
    }
    return {"name": name, "kind": "external", "primary": shown[0], "metrics": described}


def _told(scores: Scores) -> dict[str, Any]:
    def exact(value: float) -> dict[str, float | None]:
        return {"value": value, "low": None, "high": None}  # an evaluation says nothing of its uncertainty

    shown = {task: [name for name in metrics if name != "loss"] or ["loss"] for task, metrics in scores.items()}
    return {
        "losses": {task: metrics["loss"] for task, metrics in scores.items()},
        "metrics": {task: {name: exact(scores[task][name]) for name in names} for task, names in shown.items()},
    }
