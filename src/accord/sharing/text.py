"""Embeddings of hashed n-grams: the mean of one vector per n-gram."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from accord.sharing.layers import uniform


class TextEmbedding(nn.Module):
    """Maps n-gram ids ``[B, t, k]`` (0 = padding, at the end) to ``[B, t * dim]``; an empty text gives zeros.

    All text columns share one table: a word means much the same wherever it stands.

    Args:
        buckets: number of ids, padding included.
        columns: t.
        dim: numbers per column.
        generator: source of the initial weights.
    """

    def __init__(self, buckets: int, columns: int, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.table = uniform(buckets, dim, fan_in=dim, generator=generator)
        self.out_features = columns * dim

    def forward(self, ids: Tensor) -> Tensor:
        """Return the mean embedding of each text."""
        kept = (ids != 0).sum(2)
        longest = int(kept.max()) if kept.numel() else 0
        ids = ids[:, :, :longest]
        vectors = self.table.index_select(0, ids.flatten()).view(*ids.shape, self.table.shape[1])
        total = (vectors * (ids != 0).unsqueeze(3)).sum(2)
        return (total / kept.clamp(min=1).unsqueeze(2)).flatten(1)
