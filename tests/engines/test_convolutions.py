"""Convolutions whose samples belong to tasks: every kind, in every order of the samples, as one backward per task."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import accord
from accord.aggregation import UPGrad
from accord.engines import _convolutions

LAYERS = {
    "plain": (nn.Conv2d(4, 6, 3, padding=1), (9, 9)),
    "few places": (nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0)), (7, 7)),
    "in groups": (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), groups=2, bias=False), (9, 8)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (5, 5)),
    "a line": (nn.Conv1d(4, 6, 5, dilation=2), (20,)),
    "a volume": (nn.Conv3d(4, 6, 2), (5, 4, 4)),
}
OWNERS = {
    "in turn": [0, 1, 2, 0, 1, 2],
    "one after the other": [0, 0, 1, 1, 2, 2],
    "mixed": [2, 0, 1, 1, 0, 2],
    "uneven": [0, 1, 1, 1, 2, 2],
    "single": [0, 1, 2],
    "some unused": [2, 3, 0, 1, 3, 2, 1, 0],
    "many in turn": [*range(6), *range(6)],
    "many mixed": [5, 0, 3, 1, 2, 4, 0, 5, 4, 3, 1, 2],
    "many single": [4, 0, 5, 3, 2, 1],
    "many uneven": [5, 0, 3, 1, 2, 4, 0, 5, 4, 3, 1, 1],
}


def losses(layer: nn.Module, x: Tensor, owner: Tensor, ill: int = -1) -> list[Tensor]:
    """Return the tasks' losses; that of ``ill`` is finite and has an infinite derivative."""
    features = layer(x)
    parts = [features[owner == task] for task in range(6 if 5 in owner else 3)]
    return [
        (t + 1) * part.tanh().pow(t % 3 + 1).mean() + ((part * 0).sqrt().mean() if t == ill else 0.0)
        for t, part in enumerate(parts)
    ]


@pytest.mark.parametrize("cached", [_convolutions._CACHED, 1], ids=["at once", "task by task"])
@pytest.mark.parametrize("order", OWNERS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_convolution_is_that_of_one_backward_per_task(
    kind: str, order: str, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_convolutions, "_CACHED", cached)
    layer, places = LAYERS[kind]
    owner = torch.tensor(OWNERS[order])
    x = torch.randn(len(owner), 4, *places, generator=torch.Generator().manual_seed(0))
    if kind == "plain":
        x = x.to(memory_format=torch.channels_last)
    found = {}
    for engine in ("grouped", "loop"):
        layer.zero_grad()
        step = accord.backward(losses(layer, x, owner), layer.parameters(), UPGrad(), engine=engine)
        found[engine] = [step.gramian, *(parameter.grad for parameter in layer.parameters())]
    for a, b in zip(found["grouped"], found["loop"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", ["in turn", "single"])
def test_what_is_not_finite_stays_with_its_task(order: str) -> None:
    layer, owner = nn.Conv2d(4, 6, 3, padding=1), torch.tensor(OWNERS[order])
    x = torch.randn(len(owner), 4, 9, 9, generator=torch.Generator().manual_seed(0))
    with pytest.warns(accord.errors.NonFiniteLossWarning):
        step = accord.backward(losses(layer, x, owner, ill=1), layer.parameters(), UPGrad(), engine="grouped")
    assert step.active.tolist() == [True, False, True]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())
