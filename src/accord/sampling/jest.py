"""JEST: the rows of a super-batch that teach most together."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.linalg.draws import Draws
from accord.method import Method


class JEST(nn.Module):
    """Choose a batch out of a larger one by learnability: the learner's loss minus a trained reference model's.

    High for what is not learnt yet but can be; low for what is known already, and for noise, which the reference model
    cannot predict either. The batch is chosen in chunks: the first is drawn uniformly, and each further one without
    replacement with probabilities in proportion to ``exp(gain s_i)``. For a loss that is a sum over rows ``s_i`` is the
    row's learnability. A contrastive loss is a sum over pairs, so that what a row teaches depends on the others:
    ``s_i = L_ii + sum_{j chosen} (L_ij + L_ji)`` with the learnability ``L [B, B]`` of all pairs::

        jest = accord.sampling.JEST()
        keep = jest(learner_losses(super_batch), reference_losses(super_batch))    # both without gradients
        loss = learner_losses(super_batch[keep]).sum()

    No sampler of tasks, but of rows, within a task or over all of them: with one learnability per row, rows of several
    tasks compete, and losses should be on one scale.

    Shapes: learner and reference ``[B]`` or ``[B, B]`` -> indices ``[b]`` int64, all different, in the order chosen.
    Cost O(chunks B) for rows and O(chunks B^2) at most for pairs, beyond two forward passes over B rows.

    Args:
        ratio: share of the super-batch that is left out, in [0, 1): ``b = round(B (1 - ratio))``.
        chunks: in how many chunks a batch is chosen, at least 1; fewer where the batch is smaller.
        gain: how sharply learnability decides, 0 or more; 0 draws uniformly.
        seed: of the draws, whose place is in ``state_dict``.

    Source: Evans, Parthasarathy, Merzic and Henaff, Data curation via joint example selection further accelerates
    multimodal learning, 2024 (ratio 0.8, 16 chunks; "easy reference" and "hard learner" scores are got by passing zeros
    for the other model). Chunks differ by a row where b is not divisible, so that b is always as asked for.
    """

    method: ClassVar[Method] = Method(
        title="JEST",
        paper="Data curation via joint example selection further accelerates multimodal learning",
        year=2024,
        url="https://arxiv.org/abs/2406.17711",
        needs="losses",
        cost="2 forward passes over the super-batch",
        catalogue=(677,),
    )

    def __init__(self, ratio: float = 0.8, chunks: int = 16, gain: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        if not 0.0 <= ratio < 1.0 or chunks < 1 or not 0.0 <= gain < float("inf"):
            raise ConfigurationError(
                f"needs a ratio in [0, 1), chunks of at least 1 and a gain of 0 or more; got {ratio}, {chunks}, {gain}"
            )
        self.ratio, self.chunks, self.gain = ratio, chunks, gain
        self.draws = Draws(seed)

    def forward(self, learner: Tensor, reference: Tensor) -> Tensor:
        """Return the indices ``[b]`` of the rows to train on, on the device of ``learner``.

        Raises:
            ConfigurationError: shapes differ or are neither ``[B]`` nor ``[B, B]``, or a loss is not finite.
        """
        if learner.shape != reference.shape or learner.ndim not in (1, 2) or len(set(learner.shape)) != 1:
            raise ConfigurationError(
                "both losses must be [B], one per row, or [B, B], one per pair; "
                f"got {list(learner.shape)} and {list(reference.shape)}"
            )
        scores = (learner.detach().double() - reference.detach().double()).cpu().numpy()
        if not np.isfinite(scores).all():
            raise ConfigurationError("a loss of the super-batch is not finite; leave its row out before the choice")
        generator = self.draws.generator()
        logits, pairs = (scores, None) if scores.ndim == 1 else (np.diag(scores).copy(), scores + scores.T)
        first, *others = self._sizes(len(scores))
        chunk = chosen = generator.choice(len(scores), first, replace=False)
        for size in others:
            if pairs is not None:
                logits += pairs[chunk].sum(axis=0)
            chunk = draw(generator, self.gain * logits, chosen, size)
            chosen = np.concatenate([chosen, chunk])
        return torch.from_numpy(chosen).to(learner.device)

    def _sizes(self, rows: int) -> list[int]:
        batch = max(1, round(rows * (1.0 - self.ratio)))
        return [len(part) for part in np.array_split(np.arange(batch), min(self.chunks, batch))]

    def extra_repr(self) -> str:
        return f"ratio={self.ratio}, chunks={self.chunks}, gain={self.gain}"


def draw(generator: np.random.Generator, logits: np.ndarray, taken: np.ndarray, size: int) -> np.ndarray:
    """Return ``size`` indices not in ``taken``, drawn one by one without replacement in proportion to ``exp(logits)``.

    The largest of logits with Gumbel noise are exactly that, and no exponential can overflow or vanish.
    """
    noisy = logits + generator.gumbel(size=len(logits))
    noisy[taken] = -np.inf
    return np.argsort(-noisy, kind="stable")[:size]
