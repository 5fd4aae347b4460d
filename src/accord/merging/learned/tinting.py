"""Merging coefficients together with one layer of every task, taught by the experts."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError, suggest
from accord.merging.learned.batches import Batches, logits_of
from accord.merging.learned.experts import Experts
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least
from accord.method import Method


class ModelTinting(LearnedMerging):
    """Learn layer-wise coefficients and, for every task, one layer of its own, from unlabelled batches.

    The teacher of a task is its expert: cross-entropy to the class that the expert predicts, on those samples where the
    expert is at least as sure as the merged model is (the paper selects by the difference of the two confidences, so
    that predictions which the merged model already improves on teach nothing). Where no sample of a batch qualifies the
    task contributes nothing. The task layer starts as the expert's; all others are merged and shared.

    The paper calls the layer task-specific without fixing it; its published code trains each task's classifier, and so
    does this by default. The task must be known at inference.

    Cost: per step and task a forward of the expert and a forward and backward of the merged model.

    Args:
        layer: name of the module that each task has for itself; left out, the last one with parameters.
        steps: number of them.
        rate: of Adam, for coefficients and layers.
        start: what all coefficients begin with.

    Source: Jung et al., Tint Your Models Task-wise for Improved Multi-task Model Merging, 2024 (later SyMerge).
    """

    method: ClassVar[Method] = Method(
        title="Model Tinting",
        paper="Tint Your Models Task-wise for Improved Multi-task Model Merging",
        year=2024,
        url="https://arxiv.org/abs/2412.19098",
        needs="data",
        cost="steps x T (two forwards, one backward)",
        catalogue=(185,),
    )

    def __init__(self, layer: str | None = None, steps: int = 500, rate: float = 1e-2, start: float = 0.3) -> None:
        at_least("steps", steps, 1)
        self.layer = layer
        self.steps = steps
        self.rate = rate
        self.start = start

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        tints = {task: self._tint(task, module) for task, module in experts.modules.items()}
        scales = torch.full((len(experts.tasks), len(experts.base)), self.start, requires_grad=True)

        def loss(task: str, state: dict[str, Tensor], batch: Any) -> Tensor:
            with torch.no_grad():
                known = logits_of(experts.run(task, {}, batch)).softmax(dim=-1)
            return _taught(logits_of(experts.run(task, {**state, **tints[task]}, batch)), known)

        own = [value for tint in tints.values() for value in tint.values()]
        lesson = Lesson([scales, *own], lambda: experts.moved(scales), loss, experts.tasks, self.rate)
        history = learn(lesson, batches, self.steps)
        state = {name: nn.Parameter(value) for name, value in experts.moved(scales.detach()).items()}
        modules = {task: experts.assemble(task, {**state, **tints[task]}).eval() for task in experts.tasks}
        return Merged(modules, {n: v.data for n, v in state.items()}, history, scales.detach().clone())

    def _tint(self, task: str, module: nn.Module) -> dict[str, nn.Parameter]:
        """Return the task's layer as trainable parameters, by their full names."""
        layers = {name: part for name, part in module.named_modules() if name and list(part.parameters(recurse=False))}
        name = self.layer if self.layer is not None else next(reversed(layers), "")
        chosen = dict(module.named_modules()).get(name) if name else None
        if chosen is None or not list(chosen.parameters()):
            raise ConfigurationError(
                f"the expert of {task!r} has no layer {name!r} with parameters. {suggest(name, layers)}"
            )
        return {f"{name}.{key}": nn.Parameter(value.detach().clone()) for key, value in chosen.named_parameters()}


def _taught(logits: Tensor, known: Tensor) -> Tensor:
    sure, classes = known.max(dim=-1)
    own = logits.detach().softmax(dim=-1).max(dim=-1).values
    trusted = (sure >= own).flatten()
    losses = functional.cross_entropy(logits.flatten(0, -2), classes.flatten(), reduction="none")
    return (losses * trusted).sum() / trusted.sum().clamp(min=1)
