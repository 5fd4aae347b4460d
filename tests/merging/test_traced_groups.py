"""Groups of units that are read off what a network computes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.nets import filled
from torch import nn
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.merging import WeightMatching, sequential_groups, traced_groups


class Block(nn.Module):
    """Two convolutions around a skip, the second gated by what its channels say on average."""

    def __init__(self, width, inner):
        super().__init__()
        self.first = nn.Conv2d(width, inner, 3, padding=1)
        self.norm = nn.BatchNorm2d(inner)
        self.depth = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.second = nn.Conv2d(inner, width, 1)
        self.gate = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x):
        y = self.second(functional.relu(self.depth(self.norm(self.first(x)).relu())))
        gate = torch.sigmoid(self.gate(y.mean((2, 3))))
        return x + self.scale * y * gate.view(gate.size(0), -1, 1, 1)


class Residual(nn.Module):
    def __init__(self, blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.blocks = nn.Sequential(*(Block(5, 4) for _ in range(blocks)))
        self.head = nn.Linear(5 * 4, 3)

    def forward(self, image):
        x = self.blocks(functional.gelu(self.norm(self.stem(image))))
        x = functional.adaptive_avg_pool2d(x, 2)
        return {"logits": self.head(torch.flatten(x, 1))}


class Text(nn.Module):
    """Embeddings that are the head's weights too, a perceptron after a norm, keys and queries whose order stays."""

    def __init__(self, tied=True):
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.norm = nn.LayerNorm(6)
        self.up, self.down = nn.Linear(6, 9), nn.Linear(9, 6)
        self.query, self.key = nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False)
        self.head = nn.Linear(6, 7, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens, scale=None):
        x = self.embed(tokens)
        y = self.norm(x)
        weights = (self.query(y) @ self.key(y).transpose(1, 2)).softmax(-1)
        x = x + weights.sum(-1, keepdim=True) + self.down(functional.silu(self.up(y)))
        return self.head(x if scale is None else scale * x)


class Mixed(nn.Module):
    """A perceptron along the other axis, between two turns."""

    def __init__(self):
        super().__init__()
        self.inner, self.back, self.out = nn.Linear(5, 8), nn.Linear(8, 5), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.back(self.inner(x.transpose(1, 2)).tanh()).permute(0, 2, 1))


def draws(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


TOKENS = torch.tensor([[1, 2, 0, 6], [3, 3, 5, 4]])
NETS = {
    "residual": (Residual, draws(2, 2, 4, 4), {"stem": 5, "blocks.0.first": 4, "blocks.1.first": 4}),
    "text": (Text, TOKENS, {"embed": 6, "up": 9}),
    "mixed": (Mixed, draws(2, 5, 3), {"inner": 8}),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 2), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8, 3), nn.ELU(), nn.Linear(3, 1)
        ),
        draws(3, 2, 5),
        {"0": 4, "3": 3},
    ),
}


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_permuted_network_computes_the_same(name, seed):
    make, inputs, expected = NETS[name]
    net = filled(make(), seed)
    groups = traced_groups(net, inputs)
    assert groups.sizes == expected and net.training
    generator = torch.Generator().manual_seed(seed)
    order = {group: torch.randperm(size, generator=generator) for group, size in groups.sizes.items()}
    other = deepcopy(net)
    other.load_state_dict(groups.permute(net.state_dict(), order))
    one, two = (each.eval()(inputs) for each in (net, other))
    one, two = (each["logits"] if isinstance(each, dict) else each for each in (one, two))
    assert torch.allclose(one, two, rtol=1e-6, atol=1e-9 * float(one.detach().abs().max()))


def test_every_axis_of_a_residual_network():
    axes = traced_groups(filled(Residual(1), 0), draws(2, 2, 4, 4)).axes
    inner = "blocks.0.first"
    assert axes == {
        "stem.weight": ("stem", None, None, None),
        **{f"norm.{vector}": ("stem",) for vector in ("weight", "bias", "running_mean", "running_var")},
        "blocks.0.first.weight": (inner, "stem", None, None),
        "blocks.0.first.bias": (inner,),
        **{f"blocks.0.norm.{vector}": (inner,) for vector in ("weight", "bias", "running_mean", "running_var")},
        "blocks.0.depth.weight": (inner, None, None, None),
        "blocks.0.depth.bias": (inner,),
        "blocks.0.second.weight": ("stem", inner, None, None),
        "blocks.0.second.bias": ("stem",),
        "blocks.0.gate.weight": ("stem", "stem"),
        "blocks.0.gate.bias": ("stem",),
        "blocks.0.scale": ("stem", None, None),
        "head.weight": (None, "stem"),
    }


def test_what_is_read_off_a_sequence_is_what_its_layers_say():
    net = NETS["convolutions"][0]()
    told, read = sequential_groups(net), traced_groups(net, draws(3, 2, 5).float())
    assert told.sizes == read.sizes
    assert {name: axes for name, axes in told.axes.items() if any(axes)} == dict(read.axes)


def test_weights_under_two_names_are_permuted_together_or_not_at_all():
    groups = traced_groups(filled(Text(), 0), TOKENS)
    assert groups.axes["embed.weight"] == groups.axes["head.weight"] == (None, "embed")
    # The inputs of a layer have a fixed order, and so have its outputs where its weights are used once more for these.
    odd = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    odd[2].weight = odd[0].weight
    with pytest.raises(ConfigurationError, match="known to have a free order"):
        traced_groups(odd, draws(3, 4).float())


def test_a_shuffled_residual_network_is_found_again():
    net = filled(Residual(), 3)
    groups = traced_groups(net, {"image": draws(2, 2, 4, 4), "labels": torch.zeros(2)})
    order = {group: torch.arange(size).roll(1) for group, size in groups.sizes.items()}
    moved = groups.permute(net.state_dict(), order)
    found = WeightMatching(groups, seed=1)([net, moved])[1]
    assert all(torch.equal(found[name], tensor) for name, tensor in net.state_dict().items())


def test_a_network_may_have_arguments_left_out():
    net = filled(Text(), 0)
    assert traced_groups(net, {"tokens": TOKENS, "scale": torch.tensor(2.0)}).sizes == {"embed": 6, "up": 9}


class Odd(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.one, self.two, self.how = nn.Linear(3, 4), nn.Linear(4, 2), how

    def forward(self, x):
        return self.how(self, x)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda net, x: net.two(net.one(x) if x.sum() > 0 else -net.one(x)), "cannot be traced .*TraceError"),
        (lambda net, x: net.one(x), "known to have a free order"),
        (lambda net, x: net.two(net.one(x).flip(-1)), "known to have a free order"),
        (lambda net, x: net.two(net.one(x) + torch.arange(4.0)), "known to have a free order"),
        (lambda net, x: net.two(net.one(x)[:, [1, 0, 2, 3]]), "known to have a free order"),
        (lambda net, x: net.two(net.one(x).view(2, 2, 2).view(2, 4)), "known to have a free order"),
        (lambda net, x: net.two(torch.cat([net.one(x)[:, :2], net.one(x)[:, 2:]], 1)), "known to have a free order"),
        (lambda net, x: net.two(net.one(x).mean(1, keepdim=True) * net.one(x)), "known to have a free order"),
    ],
)
def test_what_fixes_an_order_is_seen(how, message):
    with pytest.raises(ConfigurationError, match=message):
        traced_groups(Odd(how), draws(2, 3).float())
