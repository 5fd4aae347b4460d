"""The models whose steps are timed: trunk, one batch, and the width of the representation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class Pooled(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean(1)


def mlp() -> tuple[nn.Module, Tensor, int]:
    layers = [nn.Linear(256, 1024), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Linear(1024, 1024), nn.ReLU()]
    return nn.Sequential(*layers), torch.randn(512, 256), 1024


def small_batch() -> tuple[nn.Module, Tensor, int]:
    trunk, x, width = mlp()
    return trunk, x[:32], width


def resnet() -> tuple[nn.Module, Tensor, int]:
    widths, blocks = (16, 16, 32, 64, 128), []
    for i, (a, b) in enumerate(pairwise(widths)):
        blocks += [Block(a, b, 1 if i == 0 else 2), Block(b, b, 1)]
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), torch.randn(64, 3, 32, 32), 128


def resnet_groups() -> tuple[nn.Module, Tensor, int]:
    """Batch normalisation mixes samples; this is the same network for samples that belong to tasks."""
    trunk, x, width = resnet()
    replace_norms(trunk)
    return trunk, x, width


def replace_norms(module: nn.Module) -> None:
    """Put group normalisation, four channels a group, in the place of batch normalisation."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(child.num_features // 4, child.num_features))
        else:
            replace_norms(child)


def transformer() -> tuple[nn.Module, Tensor, int]:
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True, norm_first=True)
    return Pooled(nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)), torch.randn(32, 64, 256), 256


MODELS = {
    "mlp": mlp,
    "small_batch": small_batch,
    "resnet": resnet,
    "resnet_groups": resnet_groups,
    "transformer": transformer,
}
