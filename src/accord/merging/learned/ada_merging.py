"""Merging coefficients that make all tasks' predictions certain, learned without labels."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.learned.batches import Batches, logits_of
from accord.merging.learned.experts import Experts
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least, finish
from accord.merging.learned.objectives import entropy
from accord.merging.learned.trimmed import trimmed
from accord.method import Method


class AdaMerging(LearnedMerging):
    """Learn ``base + sum_i l_i tau_i``, one ``l_i`` per task vector, or one per task vector and tensor.

    Minimised is the sum over tasks of the mean entropy of the predictions, on unlabelled batches: classification only.
    Heads stay as they are. The batches may be those that will be tested: the method adapts to them, which its figures
    in the literature do too, so they are not comparable with methods that never saw test inputs.

    Cost: per step a forward and a backward per task, and ``2 n P`` products; memory: the task vectors, ``n P``.

    Args:
        granularity: ``"layer"``: one coefficient for every parameter tensor; ``"task"``: one for all.
        density: AdaMerging++: task vectors are first trimmed to this fraction of their largest entries over the whole
            model, and freed of those whose sign lost the election, as in TIES (0.2 in the paper). ``None`` leaves them.
        start: what all coefficients begin with.
        steps: number of them; the published code takes 500, other implementations 1,000.
        rate: of Adam, betas 0.9 and 0.999.
        clamp: keep coefficients in [0, 1], as the published code does and the paper does not say.

    Source: Yang et al., AdaMerging: Adaptive Model Merging for Multi-Task Learning, 2024.
    """

    method: ClassVar[Method] = Method(
        title="AdaMerging",
        paper="AdaMerging: Adaptive Model Merging for Multi-Task Learning",
        year=2024,
        url="https://arxiv.org/abs/2310.02575",
        needs="data",
        cost="steps x T forwards and backwards",
        catalogue=(29,),
    )

    def __init__(
        self,
        granularity: Literal["layer", "task"] = "layer",
        density: float | None = None,
        start: float = 0.3,
        steps: int = 500,
        rate: float = 1e-3,
        clamp: bool = True,
    ) -> None:
        if granularity not in ("layer", "task"):
            raise ConfigurationError(f"granularity must be 'layer' or 'task'; got {granularity!r}")
        if density is not None and not 0 < density <= 1:
            raise ConfigurationError(f"density must lie in (0, 1]; got {density}")
        at_least("steps", steps, 1)
        self.granularity = granularity
        self.density = density
        self.start = start
        self.steps = steps
        self.rate = rate
        self.clamp = clamp

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        vectors = experts if self.density is None else trimmed(experts, self.density)
        width = len(experts.base) if self.granularity == "layer" else 1
        scales = torch.full((len(experts.tasks), width), self.start, requires_grad=True)

        def loss(task: str, state: dict[str, Tensor], batch: object) -> Tensor:
            return entropy(logits_of(vectors.run(task, state, batch)))

        lesson = Lesson(
            [scales], lambda: vectors.moved(scales), loss, experts.tasks, self.rate, settle=lambda: self._keep(scales)
        )
        history = learn(lesson, batches, self.steps)
        shown = scales if width > 1 or self.granularity == "layer" else scales[:, 0]
        return finish(vectors, vectors.moved(scales.detach()), history, shown)

    @torch.no_grad()
    def _keep(self, scales: Tensor) -> None:
        if self.clamp:
            scales.clamp_(0.0, 1.0)
