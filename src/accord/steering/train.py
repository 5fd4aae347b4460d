"""The models of a front run, trained or read back: the front itself and what it is compared with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.sharing import MultiTaskModel
from accord.steering.balancers import point_balancer
from accord.steering.front import Front, SolutionSet, SteerableFront
from accord.steering.learner import Learner, Steered
from accord.steering.methods import is_set, is_together, method_class
from accord.steering.network import Blueprint
from accord.steering.rows import Rows
from accord.steering.together import Together, best_places
from accord.steering.trainer import FrontTrainer
from accord.training.files import read_tensors, write_tensors
from accord.training.member import Context, Member, train_member
from accord.training.prepare import Prepared, only


@dataclass(frozen=True)
class Field:
    """What all models of a front run have in common.

    Attributes:
        context: of every run: specification, directory, device, news.
        prepared: the data.
        blueprint: what the networks are built from.
        preferences: ``[n, T]``, where the front is measured.
        live: the rows that it is chosen by.
        reference: ``[T]``, the worst corner on these rows.
    """

    context: Context
    prepared: Prepared
    blueprint: Blueprint
    preferences: Tensor
    live: Rows
    reference: Tensor


@dataclass(frozen=True)
class Baseline:
    """A model that the front is compared with; ``task`` is its only one, or ``None`` where it has all."""

    name: str
    task: int | None
    model: MultiTaskModel
    facts: dict[str, Any]
    interrupted: bool


@dataclass(frozen=True)
class Trained:
    """The models of one seed."""

    seed: int
    front: Front
    facts: dict[str, Any]
    interrupted: bool
    baselines: list[Baseline]


def models_of(field: Field) -> int:
    """Return how many trainings one seed is."""
    cls, tasks = method_class(field.blueprint.front.method), len(field.prepared.targets)
    points = len(field.preferences) if is_set(cls) and not is_together(cls) else 1
    return points + (1 + tasks if field.context.spec.evaluation.baselines else 0)


def train_seed(field: Field, seed: int) -> Trained:
    """Train everything of one seed, or read back what an earlier attempt finished."""
    cls = method_class(field.blueprint.front.method)
    make = train_together if is_together(cls) else train_set if is_set(cls) else train_steerable
    front, facts, interrupted = make(field, seed)
    wanted = field.context.spec.evaluation.baselines
    baselines = list(_baselines(field, seed)) if wanted else []
    return Trained(seed, front, facts, interrupted, baselines)


def _baselines(field: Field, seed: int) -> Iterator[Baseline]:
    for task in (None, *range(len(field.prepared.targets))):
        if not field.context.stop.requested:
            yield _balanced(field, seed) if task is None else _single(field, seed, task)


def train_steerable(field: Field, seed: int) -> tuple[Front, dict[str, Any], bool]:
    """Train the one model of the front; return it, its cost, and whether a person stopped it."""
    learner = Steered(field.blueprint.steerable(seed), field.preferences)
    facts, interrupted = _train(field, learner, seed)
    return SteerableFront(field.blueprint, field.preferences, learner.model), facts, interrupted


def train_together(field: Field, seed: int) -> tuple[Front, dict[str, Any], bool]:
    """Train the models of a set in one run, then give each the preference that it speaks for."""
    front, count = field.blueprint.front, len(field.preferences)
    cls, scale = method_class(front.method), field.reference
    known = {"reference": torch.ones_like(scale)} if "reference" in inspect.signature(cls).parameters else {}
    learner = Together(field.blueprint.plain(seed), count, cls(**known, **front.options), scale, seed)
    facts, interrupted = _train(field, learner, seed)
    networks = learner.networks()
    places = best_places(learner.points(field.prepared.objectives, field.live), field.preferences)
    return SolutionSet(field.blueprint, field.preferences, [networks[i] for i in places]), facts, interrupted


def _train(field: Field, learner: Learner[Any], seed: int) -> tuple[dict[str, Any], bool]:
    """Train ``learner``, or read back what an earlier attempt finished; return its cost and whether it was stopped."""
    context, prepared = field.context, field.prepared
    done = _path(context.directory, f"front-{seed}.done.safetensors")
    if done.exists():
        weights, facts = read_tensors(done)
        learner.model.load_state_dict(weights)
        return facts, False
    learner.model.to(context.device)
    trainer = FrontTrainer(
        learner,
        prepared.objectives,
        Rows(prepared.features, prepared.targets),
        prepared.parts["train"],
        field.live,
        field.reference,
        context.spec.training,
        context.bfloat16,
        seed,
        context.history,
        context.directory / "history.parquet",
        _path(context.directory, f"front-{seed}.safetensors"),
        context.progress,
        context.stop,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        outcome = trainer.run()
    facts = outcome.facts(learner.model)
    learner.model.cpu()
    if not outcome.interrupted:
        write_tensors(done, learner.model.state_dict(), meta=facts)
        trainer.checkpoint.unlink(missing_ok=True)
    return facts, outcome.interrupted


def train_set(field: Field, seed: int) -> tuple[Front, dict[str, Any], bool]:
    """Train one model per preference; return them, their cost together, and whether a person stopped it."""
    context = field.context
    steps = -(-len(field.prepared.parts["train"]) // context.spec.training.batch_size)
    members: list[Member] = []
    for index, preference in enumerate(field.preferences):
        own = replace(
            context,
            build_balancer=lambda *_, index=index: point_balancer(
                field.blueprint.front, field.preferences, index, steps
            ),
            preference=preference.tolist(),
        )
        members.append(train_member(own, field.prepared, f"point:{index}", f"point-{index:03d}", seed))
        if context.stop.requested:
            break
    trained = field.preferences[: len(members)]
    front = SolutionSet(field.blueprint, trained, [_filled(field, member, field.prepared) for member in members])
    facts = {
        "seconds": sum(m.facts["seconds"] for m in members),
        "rows": sum(m.facts["rows"] for m in members),
        "skipped": _together([m.facts["skipped"] for m in members]),
        "parameters": sum(m.facts["parameters"] for m in members),
        "peak_memory_mb": max(m.facts["peak_memory_mb"] for m in members),
    }
    return front, facts, any(m.interrupted for m in members) or len(members) < len(field.preferences)


def _balanced(field: Field, seed: int) -> Baseline:
    member = train_member(field.context, field.prepared, "joint", "joint", seed)
    return Baseline("balanced", None, _filled(field, member, field.prepared), member.facts, member.interrupted)


def _single(field: Field, seed: int, task: int) -> Baseline:
    name = f"single:{field.prepared.objectives.names[task]}"
    prepared = only(field.prepared, task)
    member = train_member(field.context, prepared, name, f"single-{task}", seed)
    return Baseline(name, task, _filled(field, member, prepared), member.facts, member.interrupted)


def _filled(field: Field, member: Member, prepared: Prepared) -> MultiTaskModel:
    model = field.context.build_model(prepared, 0)
    model.load_state_dict(member.weights)
    return model.eval()


def _together(skipped: list[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in skipped:
        for task, steps in one.items():
            found[task] = found.get(task, 0) + steps
    return found


def _path(directory: Path, name: str) -> Path:
    return directory / "checkpoints" / name
