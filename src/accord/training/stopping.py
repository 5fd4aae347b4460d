"""Which epoch was the best, and when to give up waiting for a better one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Best:
    """The best validation score so far, its weights, and how long ago that was.

    The score is the mean over tasks of the primary validation metric, signed so that more is better. A metric where
    less is better has no natural scale, so it is divided by its own value after the first epoch.
    """

    score: float = float("-inf")
    epoch: int = -1
    waited: int = 0
    first: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def scored(self, metrics: Mapping[str, float], higher_is_better: Mapping[str, bool]) -> float:
        """Return the score of ``metrics``; tasks whose metric is undefined (NaN) on these rows are left out."""
        terms: list[float] = []
        for task, value in metrics.items():
            if value != value:
                continue
            first = self.first.setdefault(task, abs(value) or 1.0)
            terms.append(value if higher_is_better[task] else -value / first)
        return sum(terms) / len(terms) if terms else float("-inf")

    def update(self, score: float, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of ``weights`` when ``score`` beats the best; the first epoch always counts as better."""
        if score > self.score or self.epoch < 0:
            self.score, self.epoch, self.waited = score, epoch, 0
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
        else:
            self.waited += 1

    def state(self) -> dict[str, Any]:
        """Return everything as plain values and tensors."""
        return {
            "score": self.score,
            "epoch": self.epoch,
            "waited": self.waited,
            "first": self.first,
            "weights": self.weights,
        }
