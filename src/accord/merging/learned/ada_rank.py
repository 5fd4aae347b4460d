"""Which singular directions of every task vector are kept, learned from predictions."""

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
from accord.merging.spectra import svd
from accord.method import Method

# Scores of directions that are kept at first; those of the others are as far below 0.
CERTAIN = 0.1

Parts = list[tuple[Tensor, Tensor, Tensor]]


class AdaRank(LearnedMerging):
    """Learn a mask over the singular directions of every task's matrices, and a coefficient for every tensor.

    ``base + sum_i l_i^t U_i diag(B_i s_i) V_i^T`` for matrices, with masks ``B`` of zeros and ones that begin with the
    leading ``share`` of each rank; other tensors have coefficients alone. Masks and coefficients minimise the sum over
    tasks of the mean entropy of the predictions, on unlabelled batches: classification only. A mask is 1 where the
    sigmoid of its score is above one half, and its gradient is that of the sigmoid (straight-through).

    Cost: one singular value decomposition per task and matrix; per step a forward and a backward per task and ``2 n``
    products per matrix. Memory: the task vectors and their singular vectors, some ``3 n P``.

    Args:
        share: of each rank that is kept at first; ``None`` is one over the number of tasks, as with the authors.
        centre: task vectors are taken from the ``"base"``; or from the experts' ``"mean"``, which is then where the
            merge begins (CART), with singular values that fall off faster.
        start: what all coefficients begin with.
        steps: number of them.
        rate: of Adam, for scores and coefficients.
        temperature: scores are divided by it in the sigmoid.
        clamp: keep coefficients in [0, 1], an option of the published code. Without it, entropy may fall by
            coefficients that only make predictions certain.

    From the mean it is less prone than from the base to become certain of one class. With ``rate`` near 0 it is
    merging by truncated task vectors, which needs no data.

    Source: Lee et al., AdaRank: Adaptive Rank Pruning for Enhanced Model Merging, 2025.
    """

    method: ClassVar[Method] = Method(
        title="AdaRank",
        paper="AdaRank: Adaptive Rank Pruning for Enhanced Model Merging",
        year=2025,
        url="https://arxiv.org/abs/2503.22178",
        needs="data",
        cost="n decompositions per matrix + steps x T forwards and backwards",
    )

    def __init__(
        self,
        share: float | None = None,
        centre: Literal["base", "mean"] = "base",
        start: float = 0.3,
        steps: int = 500,
        rate: float = 1e-3,
        temperature: float = 1.0,
        clamp: bool = True,
    ) -> None:
        if share is not None and not 0 <= share <= 1:
            raise ConfigurationError(f"share must lie in [0, 1]; got {share}")
        if centre not in ("base", "mean"):
            raise ConfigurationError(f"centre must be 'base' or 'mean'; got {centre!r}")
        if not temperature > 0:
            raise ConfigurationError(f"temperature must be above 0; got {temperature}")
        at_least("steps", steps, 1)
        self.share = share
        self.centre = centre
        self.start = start
        self.steps = steps
        self.rate = rate
        self.temperature = temperature
        self.clamp = clamp

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        moved = {name: delta.mean(0) if self.centre == "mean" else 0.0 for name, delta in experts.deltas.items()}
        origin = {name: base + moved[name] for name, base in experts.base.items()}
        deltas = {name: delta - moved[name] for name, delta in experts.deltas.items()}
        parts = {name: _decompose(delta) for name, delta in deltas.items() if delta.ndim == 3}
        scores = {name: self._scores(each, min(deltas[name].shape[1:])) for name, each in parts.items()}
        scales = torch.full((len(experts.tasks), len(origin)), self.start, requires_grad=True)

        def state() -> dict[str, Tensor]:
            return {
                name: value + self._change(scales[:, place], deltas[name], parts.get(name), scores.get(name)).to(value)
                for place, (name, value) in enumerate(origin.items())
            }

        def loss(task: str, weights: dict[str, Tensor], batch: object) -> Tensor:
            return entropy(logits_of(experts.run(task, weights, batch)))

        learned = [scales, *(score for each in scores.values() for score in each)]
        lesson = Lesson(learned, state, loss, experts.tasks, self.rate, settle=lambda: self._keep(scales))
        history = learn(lesson, batches, self.steps)
        with torch.no_grad():
            return finish(experts, state(), history, scales.detach())

    @torch.no_grad()
    def _keep(self, scales: Tensor) -> None:
        if self.clamp:
            scales.clamp_(0.0, 1.0)

    def _scores(self, parts: Parts, rank: int) -> list[Tensor]:
        kept = int(rank * (1.0 / len(parts) if self.share is None else self.share))
        found = []
        for _, values, _ in parts:
            score = torch.full_like(values, -CERTAIN)
            score[:kept] = CERTAIN
            found.append(score.requires_grad_())
        return found

    def _change(self, scale: Tensor, delta: Tensor, parts: Parts | None, scores: list[Tensor] | None) -> Tensor:
        if parts is None or scores is None:
            return torch.tensordot(scale.to(delta), delta, dims=1)
        total = torch.zeros_like(delta[0])
        for weight, (left, values, right), score in zip(scale, parts, scores, strict=True):
            soft = (score / self.temperature).sigmoid()
            mask = soft + ((soft > 0.5).to(soft) - soft).detach()
            total = total + weight.to(delta) * (left * (mask * values)) @ right
        return total


def _decompose(deltas: Tensor) -> Parts:
    return [tuple(part.to(delta).contiguous() for part in svd(delta.double())) for delta in deltas]  # pyright: ignore[reportReturnType]
