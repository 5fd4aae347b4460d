"""A shared subspace of the parameters in which task vectors interfere least, learned as a mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.learned.ada_merging import AdaMerging
from accord.merging.learned.batches import Batches, endless, logits_of
from accord.merging.learned.experts import Experts
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least, finish
from accord.merging.learned.objectives import entropy
from accord.method import Method


class ConcreteSubspace(LearnedMerging):
    """Learn one mask ``m`` over all parameters, and merge ``base + scale * sum_i tau_i * m / mean(m)``.

    The mask is relaxed: a Concrete (binary Gumbel-softmax) variable per parameter with a learned logit, drawn anew in
    every step, so that gradients reach the logits. Minimised is the summed entropy of the predictions, without labels.
    The final mask is the probability itself, the variable's value without noise, divided by its mean over each tensor.

    With ``then="ada_merging"`` the two levels alternate as in the paper: in every step one step of rate 1 on layer-wise
    coefficients under the drawn mask, then the step on the logits with these coefficients; after it the mask stays and
    :class:`AdaMerging` starts afresh on masked vectors.

    Cost: per step a forward and a backward per task and 3 P random and sigmoid evaluations; memory: ``(n + 3) P``.

    Args:
        then: ``"task_arithmetic"``: ``scale`` is fixed; ``"ada_merging"``: coefficients are learned.
        scale: of the sum of task vectors, and the start of learned coefficients.
        temperature: of the relaxation.
        steps: on the logits.
        rate: of Adam on the logits.
        inner_rate: of the plain gradient step on coefficients.
        merging_steps: of AdaMerging afterwards.

    Source: Tang et al., Concrete Subspace Learning based Interference Elimination for Multi-task Model Fusion, 2023.
    """

    method: ClassVar[Method] = Method(
        title="Concrete subspace",
        paper="Concrete Subspace Learning based Interference Elimination for Multi-task Model Fusion",
        year=2023,
        url="https://arxiv.org/abs/2312.06173",
        needs="data",
        cost="steps x T forwards and backwards",
        catalogue=(357,),
    )

    def __init__(
        self,
        then: Literal["task_arithmetic", "ada_merging"] = "task_arithmetic",
        scale: float = 0.3,
        temperature: float = 0.5,
        steps: int = 2000,
        rate: float = 1e-3,
        inner_rate: float = 1.0,
        merging_steps: int = 1000,
    ) -> None:
        if then not in ("task_arithmetic", "ada_merging"):
            raise ConfigurationError(f"then must be 'task_arithmetic' or 'ada_merging'; got {then!r}")
        at_least("steps", steps, 1)
        if not temperature > 0:
            raise ConfigurationError(f"temperature must be positive; got {temperature}")
        self.then = then
        self.scale = scale
        self.temperature = temperature
        self.steps = steps
        self.rate = rate
        self.inner_rate = inner_rate
        self.merging_steps = merging_steps

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        logits = {name: torch.zeros_like(base, requires_grad=True) for name, base in experts.base.items()}
        scales = torch.full((len(experts.tasks), len(logits)), self.scale)
        rounds = {task: endless(batches[task], task) for task in experts.tasks}

        def loss(task: str, state: dict[str, Tensor], batch: Any) -> Tensor:
            return entropy(logits_of(experts.run(task, state, batch)))

        def state() -> dict[str, Tensor]:
            mask = {name: self._draw(value, generator) for name, value in logits.items()}
            if self.then == "ada_merging":
                self._improve(experts, mask, scales, rounds)
            return _masked(experts, mask, scales)

        history = learn(Lesson(list(logits.values()), state, loss, experts.tasks, self.rate), batches, self.steps)
        mask = {name: (value.detach() / self.temperature).sigmoid() for name, value in logits.items()}
        if self.then == "task_arithmetic":
            return finish(experts, _masked(experts, mask, scales), history)
        deltas = {name: delta * _unit(mask[name]) for name, delta in experts.deltas.items()}
        return AdaMerging(start=self.scale, steps=self.merging_steps).fit(
            replace(experts, deltas=deltas), batches, generator
        )

    def _draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        # The difference of two Gumbel variables is logistic.
        uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        noise = (uniform.log() - (-uniform).log1p()).to(logits)
        return ((logits + noise) / self.temperature).sigmoid()

    def _improve(
        self, experts: Experts, mask: dict[str, Tensor], scales: Tensor, rounds: Mapping[str, Iterator[Any]]
    ) -> None:
        """Take one gradient step on the coefficients under this mask."""
        trial = scales.clone().requires_grad_()
        fixed = {name: value.detach() for name, value in mask.items()}
        total = trial.new_zeros(())
        for task in experts.tasks:
            loss = entropy(logits_of(experts.run(task, _masked(experts, fixed, trial), next(rounds[task]))))
            total = total + torch.where(loss.isfinite(), loss, 0)
        (slope,) = torch.autograd.grad(total, [trial])
        scales -= self.inner_rate * slope.nan_to_num(0.0, 0.0, 0.0)


def _unit(mask: Tensor) -> Tensor:
    return mask / mask.mean().clamp(min=1e-12)


def _masked(experts: Experts, mask: dict[str, Tensor], scales: Tensor) -> dict[str, Tensor]:
    moved = experts.moved(scales)
    return {name: base + (moved[name] - base) * _unit(mask[name]) for name, base in experts.base.items()}
