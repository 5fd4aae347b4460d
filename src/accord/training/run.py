"""A whole run: the joint model and its baselines over all seeds, judged, in one directory that can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accord.errors import ConfigurationError, RunError
from accord.holding import holding
from accord.training.build import ModelParts
from accord.training.environment import pick_device
from accord.training.files import write_json, write_text
from accord.training.history import History
from accord.training.interrupt import Stop, listening
from accord.training.member import Context, Member, train_member
from accord.training.plan import Plan
from accord.training.prepare import Prepared, only, read
from accord.training.progress import Progress, Silent
from accord.training.results import Members, collect
from accord.training.same_table import check_free, same_table
from accord.training.spec import Spec
from accord.training.trackers import check_trackers, open_trackers
from accord.training.trained import Trained, save_description


@dataclass(frozen=True)
class Result:
    """A finished (or interrupted) run.

    Attributes:
        directory: where everything is.
        trained: the joint model of the seed with the best validation score.
        metrics: the content of ``metrics.json``.
    """

    directory: Path
    trained: Trained
    metrics: dict[str, Any]

    @property
    def interrupted(self) -> bool:
        """Whether a person stopped it; ``run(..., resume=True)`` goes on."""
        return bool(self.metrics["interrupted"])


def run(
    plan: Plan,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    parts: ModelParts | None = None,
    trackers: Iterable[str] = (),
) -> Result:
    """Train, judge and write the run directory ``out``.

    Ctrl-C finishes the step in flight and still writes a usable run. A killed run goes on with ``resume=True`` from
    its last checkpoint, to the same weights bit for bit on a CPU with the same number of threads.

    Args:
        plan: from :func:`accord.training.plan`.
        out: a new directory, or with ``resume`` that of an unfinished run of the same specification.
        resume: go on where an earlier attempt stopped.
        progress: receives news.
        parts: the user's own trunk and heads.
        trackers: names of optional mirrors of the history; one that fails is dropped with a warning.

    Raises:
        ConfigurationError: there is no such tracker.
        MissingExtraError: the package of a tracker is not installed.
        RunError: the directory is taken, belongs to another specification or table, is being worked in by another
            process, or cannot be written.
        DataError: the table cannot be used.
    """
    directory, mirrors = Path(out), check_trackers(trackers)
    device = pick_device(plan.spec.training.device)
    _claim(directory, plan.spec, resume)
    with holding(directory):
        return _run(plan, directory, device, progress or Silent(), parts, mirrors)


def _run(
    plan: Plan,
    directory: Path,
    device: torch.device,
    progress: Progress,
    parts: ModelParts | None,
    mirrors: tuple[str, ...],
) -> Result:
    spec = plan.spec
    same_table(directory, directory / "checkpoints" / "table.json", plan.table)
    if spec.training.threads:
        torch.set_num_threads(spec.training.threads)
    prepared = read(spec, plan.table, progress, plan.schema, text=plan.text)
    for note in prepared.notes:
        progress.say(f"Note: {note}")
    save_description(directory, spec, plan.schema, prepared.feature_encoder, prepared.objectives)
    history = History.load(directory / "history.parquet")
    history.mirrors = open_trackers(mirrors, directory, {"spec": spec.to_yaml()})
    try:
        with listening() as stop:
            context = _context(spec, directory, history, progress, stop, device, prepared, parts)
            members = _train_all(context, prepared)
            progress.say("Judging on the test rows")
            result = _finish(context, plan, prepared, members)
    finally:
        history.close()
    return result


def _claim(directory: Path, spec: Spec, resume: bool) -> None:
    existing = directory / "spec.yaml"
    if resume and existing.exists():
        before = Spec.from_yaml(existing)
        if before != spec:
            raise RunError(f"{directory} holds a run of another specification; resume it with its own: {existing}")
        if (directory / "metrics.json").exists() and not (directory / "checkpoints").exists():
            raise RunError(f"the run in {directory} is finished; there is nothing to resume")
        return
    check_free(directory, "run")
    try:
        (directory / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot create {directory}: {error.strerror}") from error
    write_text(existing, spec.to_yaml())


def _context(
    spec: Spec,
    directory: Path,
    history: History,
    progress: Progress,
    stop: Stop,
    device: torch.device,
    prepared: Prepared,
    parts: ModelParts | None,
) -> Context:
    if parts and spec.evaluation.baselines and parts.heads is not None and len(parts.heads) < len(prepared.targets):
        raise ConfigurationError(f"own heads must be given for every task; missing some of {prepared.objectives.names}")
    return Context(spec, directory, history, progress, stop, device, parts)


def _train_all(context: Context, prepared: Prepared) -> Members:
    e = context.spec.evaluation
    tasks = len(prepared.targets)
    baselines = e.baselines and tasks > 1
    models = e.seeds * (1 + (tasks if baselines else 0))
    rows = len(prepared.parts["train"]) * context.spec.training.epochs
    context.progress.plan(models * rows, f"{models} model{'s' * (models > 1)}")
    members = Members()
    for seed in context.spec.seeds():
        if context.stop.requested and members.joint:
            break
        members.seeds.append(seed)
        members.joint.append(train_member(context, prepared, "joint", "joint", seed))
        if baselines and not context.stop.requested:
            members.single.append(_singles(context, prepared, seed))
    return members


def _singles(context: Context, prepared: Prepared, seed: int) -> list[Member]:
    found: list[Member] = []
    for t, name in enumerate(prepared.objectives.names):
        if not context.stop.requested:
            found.append(train_member(context, only(prepared, t), f"single:{name}", f"single-{t}", seed))
    return found


def _finish(context: Context, plan: Plan, prepared: Prepared, members: Members) -> Result:
    best = max(range(len(members.joint)), key=lambda i: members.joint[i].facts["score"])
    model = context.build_model(prepared, members.seeds[best])
    model.load_state_dict(members.joint[best].weights)
    trained = Trained(plan.spec, plan.schema, prepared.feature_encoder, prepared.objectives, model.eval())
    trained.save(context.directory)
    context.history.save(context.directory / "history.parquet")
    metrics = collect(plan.spec, prepared, members, context.device)
    metrics["saved_seed"] = members.seeds[best]
    write_json(context.directory / "metrics.json", metrics)
    if not metrics["interrupted"]:
        shutil.rmtree(context.directory / "checkpoints", ignore_errors=True)
    return Result(context.directory, trained, metrics)
