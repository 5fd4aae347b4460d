"""A small vision transformer behind a few convolutions."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

WIDTH, DEPTH, HEADS, PLACES = 64, 2, 4, 16


class Encoder(nn.Module):
    """Pictures ``[N, 1, 28, 28]`` to representations ``[N, 64]``: 16 tokens, 2 layers, 111 thousand weights.

    Tokens come from three strided convolutions instead of patches, with which small transformers learn from few
    pictures (Xiao et al., Early Convolutions Help Transformers See Better, 2021).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, WIDTH, 3, 2, 1)
        )
        self.places = nn.Parameter(torch.zeros(1, PLACES, WIDTH))
        self.layers = nn.Sequential(*(Layer() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the mean over tokens of what the layers make of them."""
        tokens = self.stem(pictures).flatten(2).transpose(1, 2)
        return self.norm(self.layers(tokens + self.places)).mean(dim=1)


class Layer(nn.Module):
    """Attention and an MLP, normalised before each."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.queries = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.before_mlp = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``[N, 16, 64]`` for as many."""
        count, places, _ = tokens.shape
        q, k, v = self.queries(self.before_attention(tokens)).view(count, places, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, places, WIDTH)
        tokens = tokens + self.out(seen)
        return tokens + self.mlp(self.before_mlp(tokens))


def network(trunk: nn.Module, head: nn.Module) -> nn.Module:
    """Return a network whose trunk is merged and whose head is its own."""
    return nn.Sequential(OrderedDict(trunk=trunk, head=head))
