"""Permutations of hidden units: what they leave alone, what they find again, and what they do for a merge."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.nets import filled
from torch import nn

from accord.errors import ConfigurationError, DataError
from accord.merging import ActivationMatching, Groups, Linear, WeightMatching, sequential_groups, transformer_groups


def perceptron(seed, width=7):
    net = nn.Sequential(
        nn.Linear(4, width),
        nn.LayerNorm(width),
        nn.ReLU(),
        nn.Sequential(nn.Linear(width, 5), nn.Tanh()),
        nn.Linear(5, 3),
    )
    return filled(net, seed)


def convolutional(seed):
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 3 * 3, 8),
        nn.BatchNorm1d(8),
        nn.Linear(8, 3),
    )
    return filled(net, seed).eval()


def shuffled(groups, state, seed):
    generator = torch.Generator().manual_seed(seed)
    order = {group: torch.randperm(size, generator=generator) for group, size in groups.sizes.items()}
    return groups.permute(state, order), order


NETS = [(perceptron, (4,)), (convolutional, (2, 6, 6))]


@pytest.mark.parametrize(("make", "shape"), NETS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_permuted_network_computes_the_same_and_is_found_again(make, shape, seed):
    net, other = make(seed), make(seed)
    groups = sequential_groups(net)
    moved, _ = shuffled(groups, net.state_dict(), seed)
    assert any(not torch.equal(tensor, net.state_dict()[name]) for name, tensor in moved.items())
    other.load_state_dict(moved)
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert torch.allclose(other(inputs), net(inputs), atol=1e-9)
    first, second = WeightMatching(groups, seed=seed)([net, other])
    # One layer after the other may end in a local optimum, but never lower than it began.
    assert inner(groups, first, second) >= inner(groups, first, moved)


def noise(like, seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or like.shape, generator=generator, dtype=like.dtype)


def inner(groups, first, second):
    return sum(float((first[name].double() * second[name].double()).sum()) for name in groups.axes)


def test_one_hidden_layer_is_matched_as_well_as_by_trying_all_orders():
    nets = [nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2)]
    groups = sequential_groups(nets[0])
    one, two = (filled(net, seed).state_dict() for seed, net in enumerate(nets))
    tried = [groups.permute(two, {"0": torch.tensor(order)}) for order in permutations(range(4))]
    best = max(inner(groups, one, state) for state in tried)
    matched = WeightMatching(groups)([one, two])[1]
    assert inner(groups, one, matched) == pytest.approx(best) and best > inner(groups, one, two)


def test_three_shuffled_copies_and_a_little_noise_come_into_one_order():
    net = perceptron(0, width=12)
    groups, state = sequential_groups(net), net.state_dict()
    copies = [state]
    for seed in (1, 2):
        noisy = {name: tensor + 0.01 * noise(tensor, seed) for name, tensor in state.items()}
        copies.append(shuffled(groups, noisy, seed)[0])
    matched = WeightMatching(groups)(copies)
    for other in matched[1:]:
        assert all(torch.allclose(other[name], state[name], atol=0.1) for name in state)


def test_fine_tunings_stay_as_they_are():
    net = perceptron(0)
    state = net.state_dict()
    moved = {name: tensor + 0.02 * noise(tensor, 1) for name, tensor in state.items()}
    _, second = WeightMatching(sequential_groups(net))([state, moved])
    assert all(torch.equal(second[name], moved[name]) for name in moved)


def test_networks_trained_apart_merge_better_in_one_order():
    inputs = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, :3].sum(1) > inputs[:, 3:].square().sum(1) - 2).long()

    def trained(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
            optimiser = torch.optim.Adam(net.parameters(), lr=0.03)
            for _ in range(70):
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(inputs), labels).backward()
                optimiser.step()
        return net

    def loss(state):
        net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
        net.load_state_dict(state)
        return nn.functional.cross_entropy(net(inputs), labels).item()

    nets = [trained(1), trained(2)]
    before = loss(Linear()(None, nets))
    after = loss(Linear()(None, WeightMatching(sequential_groups(nets[0]))(nets)))
    assert max(loss(net.state_dict()) for net in nets) < after < 0.8 * before


def llama(seed):
    shapes = {"gate_proj": (8, 4), "up_proj": (8, 4), "down_proj": (4, 8)}
    return random_state(seed, {f"model.layers.{i}.mlp.{n}.weight": s for i in range(2) for n, s in shapes.items()})


def gpt2(seed):
    shapes = {"c_fc.weight": (3, 12), "c_fc.bias": (12,), "c_proj.weight": (12, 3), "c_proj.bias": (3,)}
    extra = {"h.0.attn.c_proj.weight": (3, 3)}
    return random_state(seed, {f"h.{i}.mlp.{n}": s for i in range(2) for n, s in shapes.items()} | extra)


def bert(seed):
    shapes = {"intermediate.dense.weight": (8, 4), "intermediate.dense.bias": (8,), "output.dense.weight": (4, 8)}
    extra = {"layer.0.attention.output.dense.weight": (4, 4)}
    return random_state(seed, {f"layer.{i}.{n}": s for i in range(2) for n, s in shapes.items()} | extra)


def random_state(seed, shapes):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("make", [llama, gpt2, bert])
def test_perceptrons_of_transformers_are_found_by_name(make):
    state = make(0)
    groups = transformer_groups(state)
    assert len(groups.sizes) == 2
    moved, _ = shuffled(groups, state, 1)
    assert any(not torch.equal(moved[name], state[name]) for name in state)
    matched = WeightMatching(groups)([state, moved])[1]
    assert all(torch.equal(matched[name], state[name]) for name in state)


def test_a_transformer_layer_computes_the_same_with_permuted_units():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    groups = transformer_groups(layer)
    inputs = noise(torch.empty(0), 0, 2, 5, 8)
    expected = layer(inputs)
    layer.load_state_dict(shuffled(groups, layer.state_dict(), 3)[0])
    assert list(groups.sizes.values()) == [16] and torch.allclose(layer(inputs), expected, atol=1e-5)


def test_activations_find_the_order_too():
    net = perceptron(0, width=9)
    groups = sequential_groups(net)
    moved, _ = shuffled(groups, net.state_dict(), 5)
    other = perceptron(0, width=9)
    other.load_state_dict(moved)
    inputs = noise(torch.empty(0, dtype=torch.float64), 0, 300, 4)
    seen = [{"0": part[:2](inputs), "3.0": part[:4](inputs)} for part in (net, other)]
    found = ActivationMatching()(*seen)
    back = groups.permute(moved, found)
    assert all(torch.equal(back[name], net.state_dict()[name]) for name in back)
    silent = {"0": torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])}
    lively = {"0": silent["0"].flip(1)}
    assert ActivationMatching()(silent, lively)["0"].tolist() == [1, 0]
    with pytest.raises(DataError, match=r"'0' are \[3, 2\] and missing"):
        ActivationMatching()(silent, {})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sequential_groups(nn.Sequential(nn.Linear(2, 2))), "without hidden layers"),
        (lambda: sequential_groups(nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2), nn.Linear(2, 2))), "1 is a GRU"),
        (
            lambda: sequential_groups(
                nn.Sequential(nn.Conv1d(2, 4, 1), nn.Conv1d(4, 4, 1, groups=2), nn.Conv1d(4, 1, 1))
            ),
            "groups",
        ),
        (lambda: transformer_groups({"w": torch.zeros(2, 2)}), "known transformer"),
        (lambda: WeightMatching(Groups({"w": ("g",)}, {"g": 3}))([{"w": torch.zeros(4)}]), "cannot hold the 3 units"),
        (lambda: WeightMatching(Groups({"w": ("g",)}, {"g": 3}))([{}]), "name w, which this state lacks"),
        (lambda: WeightMatching(Groups({}, {}))([]), "no model"),
        (lambda: WeightMatching(Groups({}, {}), turns=0), "turns is 1"),
    ],
)
def test_what_cannot_be_permuted_is_named(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()


def test_half_precision_keeps_its_bits():
    state = {name: tensor.bfloat16() for name, tensor in llama(0).items()}
    groups = transformer_groups(state)
    moved, _ = shuffled(groups, state, 2)
    back = WeightMatching(groups)([state, moved])[1]
    assert all(torch.equal(back[name], state[name]) and back[name].dtype == torch.bfloat16 for name in state)
    assert np.isfinite(inner(groups, state, back))
