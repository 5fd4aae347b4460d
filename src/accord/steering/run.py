"""A whole front run: the front and its baselines over all seeds, measured, in one directory that can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accord.errors import ConfigurationError
from accord.holding import holding
from accord.pareto.hypervolume import volume
from accord.steering.directory import CHECKPOINTS, FEATURES, HISTORY, RESULTS, ROWS, claim
from accord.steering.grid import preference_grid
from accord.steering.hypervolumes import no_skill
from accord.steering.network import Blueprint
from accord.steering.results import collect
from accord.steering.rows import Rows, choose_rows
from accord.steering.spec import FrontSpec
from accord.steering.train import Field, Trained, models_of, train_seed
from accord.training import History, Plan, Progress, Silent
from accord.training.environment import pick_device
from accord.training.files import write_json
from accord.training.interrupt import Stop, listening
from accord.training.member import Context
from accord.training.prepare import Prepared, read
from accord.training.same_table import same_table
from accord.training.sections import section_yaml
from accord.training.trackers import check_trackers, open_trackers
from accord.training.trained import write_features


@dataclass(frozen=True)
class FrontResult:
    """A finished (or interrupted) front run.

    Attributes:
        directory: where everything is.
        results: the content of ``front.json``.
    """

    directory: Path
    results: dict[str, Any]

    @property
    def interrupted(self) -> bool:
        """Whether a person stopped it; ``run_front(..., resume=True)`` goes on."""
        return bool(self.results["interrupted"])


def run_front(
    plan: Plan,
    front: FrontSpec,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    trackers: Iterable[str] = (),
) -> FrontResult:
    """Train a front and what it is compared with, and write the front directory ``out``.

    Ctrl-C finishes the step in flight and still writes a usable directory. A killed run goes on with ``resume=True``
    from its last checkpoint, to the same weights bit for bit on a CPU with the same number of threads.

    Args:
        plan: from :func:`accord.training.plan`.
        front: from :func:`parse_front`.
        out: a new directory, or with ``resume`` that of an unfinished front of the same specification.
        resume: go on where an earlier attempt stopped.
        progress: receives news.
        trackers: names of optional mirrors of the history.

    Raises:
        ConfigurationError: fewer than two tasks, an option of the method out of range, or no such tracker.
        RunError: the directory is taken, belongs to another specification or table, is being worked in by another
            process, or cannot be written.
        DataError: the table cannot be used.
    """
    directory = Path(out)
    if len(plan.spec.tasks) < 2:
        raise ConfigurationError("a front has at least 2 tasks: name another target")
    mirrors = check_trackers(trackers)
    claim(directory, plan.spec, front, resume=resume)
    with holding(directory):
        return _run(plan, front, directory, progress or Silent(), mirrors)


def _run(plan: Plan, front: FrontSpec, directory: Path, progress: Progress, mirrors: tuple[str, ...]) -> FrontResult:
    spec = plan.spec
    same_table(directory, directory / CHECKPOINTS / "table.json", plan.table)
    if spec.training.threads:
        torch.set_num_threads(spec.training.threads)
    prepared = read(spec, plan.table, progress, plan.schema, text=plan.text)
    for note in prepared.notes:
        progress.say(f"Note: {note}")
    write_features(directory / FEATURES, plan.schema, prepared.feature_encoder, prepared.objectives)
    history = History.load(directory / HISTORY)
    history.mirrors = open_trackers(mirrors, directory, {"spec": section_yaml(spec, "front", front)})
    try:
        with listening() as stop:
            field = _field(plan, front, directory, history, progress, stop, prepared)
            trained = _train_all(field, progress)
            progress.say("Measuring the front on validation and test rows")
            return _finish(field, trained)
    finally:
        history.close()


def _field(
    plan: Plan,
    front: FrontSpec,
    directory: Path,
    history: History,
    progress: Progress,
    stop: Stop,
    prepared: Prepared,
) -> Field:
    spec = plan.spec
    context = Context(spec, directory, history, progress, stop, pick_device(spec.training.device))
    blueprint = Blueprint(spec, front, prepared.feature_encoder.layout, prepared.objectives)
    tasks = len(prepared.targets)
    rows = choose_rows(prepared.parts["validation"], prepared.targets, spec.data.split.seed)
    live = Rows(prepared.features, prepared.targets).take(rows)
    live.save(directory / ROWS)
    reference = no_skill(prepared.objectives, live.targets)
    return Field(context, prepared, blueprint, preference_grid(tasks, front.wanted(tasks)), live, reference)


def _train_all(field: Field, progress: Progress) -> list[Trained]:
    spec = field.context.spec
    count = spec.evaluation.seeds * models_of(field)
    rows = len(field.prepared.parts["train"]) * spec.training.epochs
    progress.plan(count * rows, f"{count} model{'s' * (count > 1)}")
    found: list[Trained] = []
    for seed in spec.seeds():
        found.append(train_seed(field, seed))
        if field.context.stop.requested:
            break
    return found


def _finish(field: Field, trained: list[Trained]) -> FrontResult:
    directory = field.context.directory
    kept = max(trained, key=lambda one: _score(field, one))
    kept.front.save(directory)
    field.context.history.save(directory / HISTORY)
    test = Rows(field.prepared.features, field.prepared.targets).take(field.prepared.parts["test"])
    results = collect(field, trained, kept, test)
    write_json(directory / RESULTS, results)
    if not results["interrupted"]:
        shutil.rmtree(directory / CHECKPOINTS, ignore_errors=True)
    return FrontResult(directory, results)


def _score(field: Field, one: Trained) -> float:
    """Return the hypervolume of the front of one seed on the live rows."""
    points = []
    for preference in one.front.preferences:
        losses = field.prepared.objectives.losses(one.front.outputs(field.live, preference), field.live.targets)
        points.append([float("nan") if loss is None else loss.item() for loss in losses])
    values = torch.tensor(points, dtype=torch.float64)
    return volume(values[values.isfinite().all(dim=1)].numpy(), field.reference.numpy())
