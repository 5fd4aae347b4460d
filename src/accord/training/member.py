"""One model of a run, the joint one or a single-task baseline: built, trained, applied to the test rows, kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.balancer import Balancer
from accord.registry import build, find
from accord.sharing import MultiTaskModel
from accord.tasks import Task
from accord.training.build import ModelParts, build_model
from accord.training.evaluate import predict
from accord.training.feed import Feed
from accord.training.files import read_tensors, write_tensors
from accord.training.history import History
from accord.training.interrupt import Stop
from accord.training.loop import CONFLICTS_PER_RUN, Trainer
from accord.training.prepare import Prepared
from accord.training.problem import Problem, all_outputs
from accord.training.progress import Progress
from accord.training.sampled import Sampled, pools_of
from accord.training.samplers import make_sampler
from accord.training.spec import Spec

BalancerBuilder = Callable[[Spec, Sequence[Task], int], Balancer]


@dataclass(frozen=True)
class Context:
    """What all models of a run have in common.

    Attributes:
        parts: the user's own trunk and heads.
        build_balancer: makes the balancer, where it is not the one of ``spec.balancing``.
        preference: ``[T]``, how much each task's validation loss counts in the choice of the best epoch; where there is
            none, the mean of the primary metrics decides.
    """

    spec: Spec
    directory: Path
    history: History
    progress: Progress
    stop: Stop
    device: torch.device
    parts: ModelParts | None = None
    build_balancer: BalancerBuilder | None = None
    preference: Sequence[float] | None = None

    @property
    def bfloat16(self) -> bool:
        """Whether models are trained under bfloat16 autocast."""
        precision = self.spec.training.precision
        capable = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        return precision == "bfloat16" or (precision == "auto" and capable)

    def build_model(self, prepared: Prepared, seed: int) -> MultiTaskModel:
        """Return a network for the tasks of ``prepared``, initialised from ``seed`` alone."""
        layout = prepared.feature_encoder.layout
        return build_model(self.spec, layout, prepared.objectives, seed=seed, parts=self.parts)


@dataclass(frozen=True)
class Member:
    """A trained model's test predictions (one array per task), weights and costs."""

    predictions: list[np.ndarray]
    weights: dict[str, Tensor]
    facts: dict[str, Any]
    interrupted: bool = False


def train_member(context: Context, prepared: Prepared, run: str, key: str, seed: int) -> Member:
    """Train the model ``run`` with ``seed``, or read it back where an earlier attempt finished it.

    Args:
        context: what all models share.
        prepared: data of the tasks of this model.
        run: its name in the history: ``joint`` or ``single:<task>``.
        key: its name on disk, safe for any file system.
        seed: of initialisation, order and dropout.
    """
    done = context.directory / "checkpoints" / f"{key}-{seed}.done.safetensors"
    if done.exists():
        return _read(done)
    trainer, problem = make_trainer(context, prepared, (run, seed), done.with_name(f"{key}-{seed}.safetensors"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        outcome = trainer.train()
    test = prepared.parts["test"]
    outputs = all_outputs(problem.model, prepared.features, test, context.device)
    member = Member(
        predict(prepared.objectives, outputs),
        {name: tensor.detach().cpu() for name, tensor in problem.model.state_dict().items()},
        outcome.facts(problem.model),
        outcome.interrupted,
    )
    if not outcome.interrupted:
        _write(done, member)
        trainer.checkpoint.unlink(missing_ok=True)
    return member


def make_trainer(
    context: Context, prepared: Prepared, name: tuple[str, int], checkpoint: Path
) -> tuple[Trainer, Problem]:
    """Return what trains the model ``name`` (run and seed) and its problem; state is kept at ``checkpoint``."""
    spec = context.spec
    model = context.build_model(prepared, name[1]).to(context.device)
    problem = Problem(
        model,
        prepared.objectives,
        prepared.features,
        prepared.targets,
        prepared.parts["train"],
        prepared.parts["validation"],
        context.device,
        context.bfloat16,
    )
    make = context.build_balancer or make_balancer
    balancer = make(spec, problem.tasks, name[1]).to(context.device)
    trainer = Trainer(
        problem,
        spec.training,
        spec.balancing,
        balancer,
        name,
        context.history,
        context.directory / "history.parquet",
        checkpoint,
        context.progress,
        context.stop,
        context.preference,
        feed=make_feed(spec, problem, name[1]),
    )
    return trainer, problem


def make_feed(spec: Spec, problem: Problem, seed: int) -> Feed | None:
    """Build what draws rows by the sampler of ``spec``; ``None`` where all come in turn.

    A task alone has no other to choose, whatever was asked for.
    """
    method, size = spec.sampling.method, spec.training.batch_size
    if method is None or len(problem.tasks) == 1:
        return None
    pools = pools_of(problem.targets, problem.train)
    per_epoch = -(-len(problem.train) // size)
    steps = per_epoch * spec.training.epochs
    sizes = [len(pool) for pool in pools]
    sampler = make_sampler(method, spec.sampling.options, sizes=sizes, batch=size, steps=steps, seed=seed)
    own = spec.sampling.rows
    rows = size if own is None else [own[task.name] for task in problem.tasks]
    every = max(1, steps // CONFLICTS_PER_RUN)
    return Sampled(sampler, problem, pools, rows, steps=per_epoch, every=every, seed=seed)


def make_balancer(spec: Spec, tasks: Sequence[Task], seed: int) -> Balancer:
    """Build the balancer of ``spec``; one task alone has nothing to balance, whatever was asked for."""
    if len(tasks) == 1:
        return build("fixed", rooms=("weighting",))
    rooms = ("weighting", "aggregation")
    takes = inspect.signature(find(spec.balancing.method, *rooms)).parameters
    # What a method may want to know about a run: its seed, the number of tasks, the likelihood behind each loss.
    known = {
        "seed": seed,
        "tasks": len(tasks),
        "forms": ["regression" if task.kind == "regression" else "classification" for task in tasks],
    }
    facts = {name: value for name, value in known.items() if name in takes}
    return build(spec.balancing.method, {**facts, **spec.balancing.options}, rooms=rooms, place="balancing.options")


def _write(path: Path, member: Member) -> None:
    tensors = {f"prediction.{i}": torch.from_numpy(p) for i, p in enumerate(member.predictions)}
    tensors |= {f"weight.{name}": tensor for name, tensor in member.weights.items()}
    write_tensors(path, tensors, meta=member.facts)


def _read(path: Path) -> Member:
    tensors, facts = read_tensors(path)
    count = sum(name.startswith("prediction.") for name in tensors)
    predictions = [tensors[f"prediction.{i}"].numpy() for i in range(count)]
    return Member(predictions, _with_prefix(tensors, "weight."), facts)


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
