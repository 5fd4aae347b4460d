"""Anisotropic scaling of task vectors, learned with labels, with few, or with none."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.merging.learned.batches import Batches, labels_of, logits_of
from accord.merging.learned.experts import Experts
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least, finish
from accord.merging.learned.objectives import likeness
from accord.method import Method


class ATLAS(LearnedMerging):
    """Learn one coefficient for every task vector and parameter tensor, ``base + sum_i c_i^l tau_i^l``, from zero.

    With labels it composes what experts know for their own tasks (addition) or, given few labelled batches, for one
    that none of them was trained on: ``experts`` then holds the same task's head around every expert. Without labels
    (``labels="pseudo"``) the model's own confident predictions take their place, at test time.

    The published name is aTLAS. Its test-time objective is UFM, FixMatch on the model's own pseudo-labels with a
    threshold that grows with the class's confidence; ours is its core, cross-entropy to the predicted class where that
    is at least ``confidence`` sure, on the same inputs: strong augmentation is a matter of the data and left to the
    caller's batches.

    Cost: as AdaMerging by layer; ``n * partitions`` numbers per tensor are learned.

    Args:
        labels: ``"given"`` or ``"pseudo"``.
        partitions: random parts of each tensor that have coefficients of their own (the paper's K, 1 by default).
        steps: number of them.
        rate: of AdamW.
        weight_decay: of AdamW on the coefficients.
        confidence: smallest probability of a pseudo-label.

    Source: Zhang et al., Knowledge Composition using Task Vectors with Learned Anisotropic Scaling, 2024: rate 0.1
    with decay 0.1, gradient clipped at norm 1.
    """

    method: ClassVar[Method] = Method(
        title="aTLAS",
        paper="Knowledge Composition using Task Vectors with Learned Anisotropic Scaling",
        year=2024,
        url="https://arxiv.org/abs/2407.02880",
        needs="data",
        cost="steps x T forwards and backwards",
        catalogue=(327,),
    )

    def __init__(
        self,
        labels: Literal["given", "pseudo"] = "given",
        partitions: int = 1,
        steps: int = 300,
        rate: float = 0.1,
        weight_decay: float = 0.1,
        confidence: float = 0.9,
    ) -> None:
        if labels not in ("given", "pseudo"):
            raise ConfigurationError(f"labels must be 'given' or 'pseudo'; got {labels!r}")
        at_least("steps", steps, 1)
        at_least("partitions", partitions, 1)
        self.labels = labels
        self.partitions = partitions
        self.steps = steps
        self.rate = rate
        self.weight_decay = weight_decay
        self.confidence = confidence

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        parts = {name: self._parts(base, generator) for name, base in experts.base.items()}
        scales = torch.zeros(len(experts.tasks), len(parts), self.partitions, requires_grad=True)

        def state() -> dict[str, Tensor]:
            if self.partitions == 1:
                return experts.moved(scales[..., 0])
            places = enumerate(experts.base.items())
            # c_i of every entry is that of its part.
            return {
                name: base + (scales[:, at][:, parts[name]].to(base) * experts.deltas[name]).sum(dim=0)
                for at, (name, base) in places
            }

        def loss(task: str, weights: dict[str, Tensor], batch: Any) -> Tensor:
            logits = logits_of(experts.run(task, weights, batch))
            return self._confident(logits) if self.labels == "pseudo" else likeness(logits, labels_of(batch, task))

        lesson = Lesson([scales], state, loss, experts.tasks, self.rate, clip=1.0, weight_decay=self.weight_decay)
        history = learn(lesson, batches, self.steps)
        with torch.no_grad():
            merged = state()
        return finish(experts, merged, history, scales[..., 0] if self.partitions == 1 else scales)

    def _parts(self, base: Tensor, generator: torch.Generator) -> Tensor:
        if self.partitions == 1:
            return torch.empty(0)
        return torch.randint(self.partitions, base.shape, generator=generator).to(base.device)

    def _confident(self, logits: Tensor) -> Tensor:
        sure, guessed = logits.detach().softmax(dim=-1).max(dim=-1)
        losses = functional.cross_entropy(logits.flatten(0, -2), guessed.flatten(), reduction="none")
        return (losses * (sure.flatten() >= self.confidence)).mean()
