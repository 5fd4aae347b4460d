"""One student of several teachers."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.learned.batches import Batches, logits_of
from accord.merging.learned.experts import Experts
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least
from accord.merging.learned.objectives import agreement
from accord.method import Method


class Distillation(LearnedMerging):
    """Distil fine-tuned teachers into one trunk with a head each, from a small unlabelled part of their data.

    In two stages, as SAM-CLIP does it: heads are first fitted to the frozen trunk, then heads and trunk are trained
    together on all teachers at once, the trunk at a smaller rate so that it forgets little. Rehearsal is every
    teacher's own batches in every step. The loss is the divergence from the teacher's softened predictions; for
    outputs of other kinds the mean squared distance.

    The trunk starts as the merge ``base + scale * sum_i tau_i``; with ``scale=0`` as the base, as SAM-CLIP's student
    starts from one of its teachers.

    Cost: per step and task a forward of the teacher, a forward and a backward of the student.

    Args:
        scale: of the sum of task vectors at the start.
        head_steps: steps of the first stage.
        steps: of the second.
        rate: of Adam on heads, and on the trunk times ``trunk_factor``.
        trunk_factor: how much slower the trunk learns.
        temperature: of both softmaxes.
        classes: predictions are logits of classes; else values.

    Source: Wang et al., SAM-CLIP: Merging Vision Foundation Models towards Semantic and Spatial Understanding, 2024.
    """

    method: ClassVar[Method] = Method(
        title="Distillation of several teachers",
        paper="SAM-CLIP: Merging Vision Foundation Models towards Semantic and Spatial Understanding",
        year=2024,
        url="https://arxiv.org/abs/2310.15308",
        needs="data",
        cost="steps x T (two forwards, one backward)",
        catalogue=(250,),
    )

    def __init__(
        self,
        scale: float = 0.3,
        head_steps: int = 100,
        steps: int = 500,
        rate: float = 1e-3,
        trunk_factor: float = 0.1,
        temperature: float = 2.0,
        classes: bool = True,
    ) -> None:
        at_least("head_steps", head_steps, 0)
        at_least("steps", steps, 1)
        if not trunk_factor > 0 or not temperature > 0:
            raise ConfigurationError(
                f"trunk_factor and temperature must be positive; got {trunk_factor} and {temperature}"
            )
        self.scale = scale
        self.head_steps = head_steps
        self.steps = steps
        self.rate = rate
        self.trunk_factor = trunk_factor
        self.temperature = temperature
        self.classes = classes

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        trunk = {name: nn.Parameter(value) for name, value in experts.moved(self.scale).items()}
        heads = {task: _head(module, trunk) for task, module in experts.modules.items()}
        own = [value for head in heads.values() for value in head.values()]

        def loss(task: str, state: dict[str, Tensor], batch: Any) -> Tensor:
            with torch.no_grad():
                taught = logits_of(experts.run(task, {}, batch))
            return self._distance(logits_of(experts.run(task, {**state, **heads[task]}, batch)), taught)

        frozen = {name: value.detach() for name, value in trunk.items()}
        histories = []
        if own and self.head_steps:
            first = Lesson([{"params": own}], lambda: frozen, loss, experts.tasks, self.rate)
            histories.append(learn(first, batches, self.head_steps))
        groups = [{"params": list(trunk.values()), "lr": self.rate * self.trunk_factor}, {"params": own}]
        second = Lesson(groups if own else groups[:1], lambda: dict(trunk), loss, experts.tasks, self.rate)
        histories.append(learn(second, batches, self.steps))
        modules = {task: experts.assemble(task, {**trunk, **heads[task]}).eval() for task in experts.tasks}
        return Merged(modules, {name: value.data for name, value in trunk.items()}, torch.cat(histories))

    def _distance(self, student: Tensor, taught: Tensor) -> Tensor:
        if self.classes:
            return agreement(student, taught, self.temperature)
        return nn.functional.mse_loss(student, taught)


def _head(module: nn.Module, trunk: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    return {n: nn.Parameter(v.detach().clone()) for n, v in module.named_parameters() if n not in trunk}
