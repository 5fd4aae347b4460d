"""Tasks that find the same rows easy, hard and ambiguous while they are learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.grouping.affinity import Affinity, Evidence
from accord.method import Method


class DataMaps(Affinity):
    """Closeness of two tasks' data maps: for every row the mean over epochs of its label's probability, and its spread.

    A map is ``[N, 2]``: mean and standard deviation over epochs of the probability of the observed label. With ``d_ij``
    the root mean square distance of two maps over the rows that both tasks have labels for, ``A_ij = 1 - d_ij / mean
    d``: the same in both directions, at most 1, and 0, the neutral value, is the distance of an average pair.

    Shapes: ``confidence [T, N]`` once an epoch, NaN where a label is missing. Cost: one evaluation of N rows per epoch
    of joint training, O(T^2 N) at the end, memory O(T N).

    Source: Sherif et al., STG-MTL: Scalable Task Grouping for Multi-Task Learning Using Data Maps, 2023. There fuzzy
    k-means clusters the maps, and their classes' maps are pooled; the Euclidean distance of that clustering is what is
    kept here, so that any partitioner can go by it. Spreads take the population formula: one epoch has spread 0.
    """

    method: ClassVar[Method] = Method(
        title="STG-MTL data maps",
        paper="STG-MTL: Scalable Task Grouping for Multi-Task Learning Using Data Maps",
        year=2023,
        url="https://arxiv.org/abs/2307.03374",
        needs="data",
        cost="one evaluation of N rows per epoch",
        catalogue=(73,),
    )
    hears = ("confidence",)
    mean: Tensor
    squares: Tensor
    epochs: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__(tasks)
        self.register_buffer("mean", torch.zeros(tasks, 0, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(tasks, 0, dtype=torch.float64))
        self.register_buffer("epochs", torch.tensor(0))
        self.register_load_state_dict_pre_hook(_take_rows)

    def learn(self, evidence: Evidence) -> None:
        confidence = evidence.confidence
        assert confidence is not None
        if not int(self.epochs):
            self.mean, self.squares = torch.zeros_like(confidence), torch.zeros_like(confidence)
        if self.mean.shape != confidence.shape:
            rows, had = confidence.shape[1], self.mean.shape[1]
            raise ConfigurationError(f"confidence had {had} rows so far; got {rows}. Show the same rows every epoch")
        self.epochs += 1
        step = confidence - self.mean
        self.mean += step / self.epochs
        self.squares += step * (confidence - self.mean)

    def matrix(self) -> Tensor:
        if not int(self.epochs):
            raise self.unseen()
        maps = torch.stack([self.mean, (self.squares / self.epochs).clamp_min(0).sqrt()], 2)
        known = maps.isfinite().all(2)
        both = known.to(torch.float64) @ known.to(torch.float64).T
        flat = torch.where(known[:, :, None], maps, 0.0)
        size = (flat**2).sum(2)
        # Squares over common rows only: a row that one task misses says nothing of the pair.
        cross = flat.flatten(1) @ flat.flatten(1).T
        squares = size @ known.to(torch.float64).T + known.to(torch.float64) @ size.T - 2 * cross
        distance = (squares.clamp_min(0) / both).sqrt()
        others = distance[~torch.eye(self.tasks, dtype=torch.bool)].nanmean()
        return 1 - distance / others if others > 0 else torch.where(both > 0, 0.0, torch.nan)


def _take_rows(module: DataMaps, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    for name in ("mean", "squares"):
        saved = state_dict.get(prefix + name)
        if isinstance(saved, Tensor):
            setattr(module, name, torch.zeros_like(saved))
