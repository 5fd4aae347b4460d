"""Parts that were selected from one tensor come together in it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import accord


def parts(y: Tensor) -> list[Tensor]:
    """Return places of ``y [N, 3, 2]`` that overlap, one of them twice, by axes counted from either end."""
    return [y[:, 0], y.select(-2, -3) * 2, y.select(-2, 2).exp(), y[:, :, 1].sum(1, keepdim=True)]


@pytest.mark.parametrize("dense", [None, "before", "after"])
@pytest.mark.parametrize("engine", ["gramian", "grouped", "sketch"])
def test_selections_add_up(engine: str, dense: str | None) -> None:
    torch.manual_seed(0)
    trunk, heads = nn.Linear(4, 6), [nn.Linear(2, 1), nn.Linear(2, 1)]
    other = trunk(torch.randn(8, 4)).view(8, 3, 2)
    hidden = trunk(torch.randn(8, 4)).tanh().view(8, 3, 2)
    features = hidden.sum(1) if dense == "before" else torch.zeros(8, 2)
    features = sum(parts(hidden), features)
    if dense == "after":  # one gradient for both terms, so that nobody may write into it
        features = features + (hidden + other).sigmoid().sum(1)
    losses = [head(features[task::2]).pow(2).mean() for task, head in enumerate(heads)]
    chosen = accord.engines.Sketch(64) if engine == "sketch" else engine
    found = accord.gramian(losses, list(trunk.parameters()), engine=chosen)
    wanted = accord.gramian(losses, list(trunk.parameters()), engine="loop")
    assert torch.allclose(found, wanted, rtol=1e-5, atol=0)


class SineAndCosine(torch.autograd.Function):
    """Of two results, which expects a gradient of each, as functions do that say nothing else."""

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx, sine: Tensor, cosine: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.mul(sine, x.cos()) - torch.mul(cosine, x.sin())


@pytest.mark.parametrize("engine", ["gramian", "sketch"])
def test_functions_of_peoples_own_receive_zeros_for_what_a_task_leaves_out(engine: str) -> None:
    torch.manual_seed(0)
    trunk, heads = nn.Linear(4, 3), [nn.Linear(3, 1), nn.Linear(3, 1)]
    both = SineAndCosine.apply(trunk(torch.randn(8, 4)))
    losses = [head(one).pow(2).mean() for head, one in zip(heads, both, strict=True)]
    wanted = accord.gramian(losses, list(trunk.parameters()), engine="loop")
    assert torch.allclose(accord.gramian(losses, list(trunk.parameters()), engine=engine), wanted, rtol=1e-5, atol=0)
