"""Embeddings of numbers: what lets a network bend where trees would split."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.sharing.layers import uniform


class NumericEmbedding(nn.Module, ABC):
    """Maps standardised numbers ``[B, n]`` to ``[B, n * dim]``, each column by weights of its own."""

    out_features: int

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """Return the embedded columns, one after the other."""


class PiecewiseLinear(NumericEmbedding):
    """Where in each quantile bin a value lies, then one linear layer and a ReLU per column ("Q-LR").

    Entry k of the encoding is 0 below bin k, 1 above it, and rises linearly inside. Beyond the outer edges it stays
    put (the paper goes on linearly, which lets one outlier dominate a batch); the stem adds the plain number.

    (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.)

    Args:
        edges: per column two or more rising edges; columns may have different numbers of them.
        dim: numbers per column.
        generator: source of the initial weights.
    """

    def __init__(self, edges: Sequence[Sequence[float]], dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        bins = max(len(column) - 1 for column in edges)
        low, slope = torch.zeros(len(edges), bins), torch.zeros(len(edges), bins)
        for index, column in enumerate(edges):
            points = torch.tensor(column, dtype=torch.float64)
            width = points.diff()
            low[index, : len(width)] = points[:-1]
            # A bin without width would divide by zero; its slope of 0 makes it a constant 0.
            slope[index, : len(width)] = torch.where(width > 0, 1.0 / width, 0.0)
        self.register_buffer("low", low)
        self.register_buffer("slope", slope)
        self.weight = uniform(len(edges), bins, dim, fan_in=bins, generator=generator)
        self.bias = uniform(len(edges), dim, fan_in=bins, generator=generator)
        self.out_features = len(edges) * dim

    def forward(self, values: Tensor) -> Tensor:
        low, slope = self.get_buffer("low"), self.get_buffer("slope")
        places = ((values.T.unsqueeze(2) - low.unsqueeze(1)) * slope.unsqueeze(1)).clamp(0.0, 1.0)
        return _per_column(places, self.weight, self.bias)


class Periodic(NumericEmbedding):
    """Sines and cosines of learned frequencies, then one linear layer and a ReLU per column ("PLR").

    (Gorishniy et al., 2022.)

    Args:
        columns: n.
        dim: numbers per column.
        frequencies: sine and cosine pairs per column.
        sigma: standard deviation of the initial frequencies.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        columns: int,
        dim: int,
        *,
        frequencies: int = 16,
        sigma: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(columns, frequencies).normal_(0.0, sigma, generator=generator))
        self.weight = uniform(columns, 2 * frequencies, dim, fan_in=2 * frequencies, generator=generator)
        self.bias = uniform(columns, dim, fan_in=2 * frequencies, generator=generator)
        self.out_features = columns * dim

    def forward(self, values: Tensor) -> Tensor:
        angles = 2.0 * math.pi * values.T.unsqueeze(2) * self.frequencies.unsqueeze(1)
        return _per_column(torch.cat([angles.sin(), angles.cos()], 2), self.weight, self.bias)


def _per_column(encoded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    # [n, B, k] times [n, k, dim], laid side by side: [B, n * dim].
    columns = functional.relu(torch.baddbmm(bias.unsqueeze(1), encoded, weight))
    return columns.transpose(0, 1).flatten(1)
