"""A small vision transformer with a head for each task."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

PATCH, WIDTH, DEPTH, HEADS = 7, 64, 3, 4


class Encoder(nn.Module):
    """Pictures ``[N, 1, 28, 28]`` to representations ``[N, 64]``: 16 patches, 3 layers, 160 thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(PATCH * PATCH, WIDTH)
        self.places = nn.Parameter(torch.zeros(1, (28 // PATCH) ** 2, WIDTH))
        self.layers = nn.Sequential(*(Layer() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the mean over patches of what the layers make of them."""
        tiles = pictures.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).reshape(len(pictures), -1, PATCH * PATCH)
        return self.norm(self.layers(self.patches(tiles) + self.places)).mean(dim=1)


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


def network(encoder: nn.Module, head: nn.Module) -> nn.Module:
    """Return a network whose trunk is merged and whose head is its own."""
    return nn.Sequential(OrderedDict(trunk=encoder, head=head))
