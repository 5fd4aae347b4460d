"""What units of two networks have in common: one to many, many to many, and where activations come from."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag, hadamard
from torch import nn

from accord.errors import ConfigurationError, DataError
from accord.merging import (
    ActivationMatching,
    Linear,
    SparsePrediction,
    SpectralMatching,
    WeightMatching,
    sequential_groups,
    unit_activations,
)


def draws(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(seed, samples, columns):
    """Columns of mean 0, orthogonal, and of unit variance."""
    values = draws(seed, samples, columns)
    return torch.linalg.qr(values - values.mean(0))[0] * samples**0.5


# --- one to many


def test_a_unit_made_of_two_is_found_and_shrunk():
    x = orthogonal(0, 200, 3)
    y = torch.stack([0.6 * x[:, 0] - 0.8 * x[:, 2], 5 + 3 * x[:, 1], torch.ones(200)], 1)
    found = SparsePrediction(0.1)({"g": y}, {"g": x})["g"]
    # Correlations with orthogonal units are shrunk by the penalty; what is lost squared is left unexplained.
    assert found.sources(0) == [(2, pytest.approx(-0.7)), (0, pytest.approx(0.5))]
    assert found.sources(1) == [(1, pytest.approx(0.9))] and found.sources(2) == []
    assert found.unexplained.tolist() == pytest.approx([0.02, 0.01, 0.0], abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), penalty=st.floats(0.02, 0.9))
def test_order_and_scale_of_units_do_not_matter_and_a_higher_price_explains_less(seed, penalty):
    x = draws(seed, 50, 5)
    y = x @ draws(seed + 1, 5, 4) + 0.5 * draws(seed + 2, 50, 4)
    found = SparsePrediction(penalty)({"g": y}, {"g": x})["g"]
    scales = torch.tensor([1.0, 100.0, 1e-3, 7.0, 1.0], dtype=torch.float64)
    turned = SparsePrediction(penalty)({"g": 3 * y.flip(1) - 2}, {"g": (x * scales).flip(1)})["g"]
    assert torch.allclose(turned.weights.flip(0, 1), found.weights, atol=5e-3)
    assert ((found.unexplained >= 0) & (found.unexplained <= 1)).all()
    dearer = SparsePrediction(min(0.99, 2 * penalty))({"g": y}, {"g": x})["g"]
    assert (dearer.unexplained >= found.unexplained - 1e-5).all()
    left = (y - y.mean(0)) / y.std(0, False) - (x - x.mean(0)) / x.std(0, False) @ found.weights.T
    assert torch.allclose(left.square().mean(0), found.unexplained, atol=1e-8)


# --- many to many


def planted(seed, sizes, samples=400):
    """Units of two networks that span the same spaces, each axis of one an even mixture of the other's."""
    places = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    mixing = torch.from_numpy(block_diag(*(hadamard(size) / size**0.5 for size in sizes)))
    left = orthogonal(seed, samples, sum(sizes))
    noise = 0.1 * draws(seed + 1, 2, samples, sum(sizes))
    return left + noise[0], left @ mixing + noise[1], places


def same_partition(one, other):
    return torch.equal(one[:, None] == one, other[:, None] == other)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**4))
def test_spaces_that_both_span_are_found_whatever_the_axes_order_and_signs(seed):
    left, right, places = planted(seed, (4, 1, 2))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(7))
    found = SpectralMatching(3)({"g": -2 * left}, {"g": right[:, order]})["g"]
    assert same_partition(torch.cat([found.first, found.second]), torch.cat([places, places[order]]))
    # The unit that both have stands first; in a space the strength is what its axes share on average.
    assert found.members(0) == ([4], [int((order == 4).nonzero())])
    assert found.strength.tolist() == pytest.approx([1.0, 0.5**0.5, 0.5], abs=0.03)


def test_two_clusters_are_the_best_normalised_cut():
    left, right, _ = planted(3, (2, 2), 60)
    left, right = left + 0.4 * draws(9, 60, 4), right + 0.4 * draws(10, 60, 4)
    weights = np.abs(np.corrcoef(left.T.numpy(), right.T.numpy()))[:4, 4:]
    graph = np.block([[np.zeros((4, 4)), weights], [weights.T, np.zeros((4, 4))]])

    def cut(labels):
        sides = [np.array(labels) == side for side in (0, 1)]
        across = graph[sides[0]][:, sides[1]].sum()
        return sum(across / graph[side].sum() for side in sides)

    best = min((labels for labels in product((0, 1), repeat=8) if 0 < sum(labels) < 8), key=cut)
    found = SpectralMatching(2)({"g": left}, {"g": right})["g"]
    assert same_partition(torch.cat([found.first, found.second]), torch.tensor(best))


def test_silent_units_lie_in_no_cluster_and_too_many_clusters_are_refused():
    left, right, _ = planted(1, (2, 2))
    left[:, 1] = 3.0
    found = SpectralMatching(2)({"g": left}, {"g": right})["g"]
    assert found.first[1] == -1 and (found.first[[0, 2, 3]] >= 0).all() and (found.second >= 0).all()
    with pytest.raises(ConfigurationError, match="of 'g' only 3 and 4 units vary"):
        SpectralMatching(4)({"g": left}, {"g": right})


# --- where activations come from


class Odd(nn.Module):
    """No sequence: a convolution, a skip connection, a layer that is used twice and one that never is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.linear = nn.Linear(4, 4)
        self.spare = nn.Linear(1, 1)

    def forward(self, image, scale=1.0):
        hidden = self.act(self.conv(image)) * scale
        states, _ = self.rnn(hidden.flatten(2).transpose(1, 2))
        return self.linear(self.drop(states) + self.linear(states))


def test_activations_of_any_module():
    net = Odd()
    image = draws(0, 5, 2, 4, 4).float()
    batches = [{"image": image[:3], "labels": torch.zeros(3)}, {"image": image[3:], "scale": 1.0}]
    found = unit_activations(net, ["conv", "act", "linear"], batches)
    conv = net.conv(image).detach()
    assert torch.allclose(found["conv"], conv.permute(0, 2, 3, 1).reshape(-1, 3), atol=1e-6)
    assert torch.allclose(found["act"], found["conv"].relu(), atol=1e-6) and found["linear"].shape == (2 * 5 * 4, 4)
    entered = unit_activations(net, ["act"], batches, inputs=True)["act"]
    assert torch.equal(entered, found["conv"])
    thin = unit_activations(net, ["conv"], [image], every=3)["conv"]
    assert torch.allclose(thin, found["conv"][::3], atol=1e-6)
    assert net.training and not any(part._forward_hooks for part in net.modules())
    with pytest.raises(DataError, match="'rnn' works with a tuple"):
        unit_activations(net, ["rnn"], batches)
    with pytest.raises(DataError, match="'spare' was never called"):
        unit_activations(net, ["spare"], batches)
    assert not any(part._forward_hooks for part in net.modules())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: unit_activations(Odd(), ["convv"], []), ConfigurationError, "the model has no module 'convv'.*conv"),
        (lambda: unit_activations(Odd(), ["conv"], [], every=0), ConfigurationError, "every is 1 or more; got 0"),
        (lambda: SparsePrediction(0.0), ConfigurationError, "between 0 and 1; got 0"),
        (lambda: SpectralMatching(0), ConfigurationError, "clusters is 1 or more; got 0"),
        (lambda: SparsePrediction()({"g": torch.ones(3, 2)}, {}), DataError, r"'g' are \[3, 2\] and missing"),
        (
            lambda: SpectralMatching(1)({"g": torch.ones(3, 2)}, {"g": torch.ones(4, 2)}),
            DataError,
            r"\[3, 2\] and \[4, 2\]",
        ),
        (
            lambda: ActivationMatching()({"g": torch.ones(3, 2)}, {"g": torch.ones(3, 4)}),
            DataError,
            "'g' has 2 units and 4",
        ),
    ],
)
def test_what_cannot_be_matched_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- two networks that were trained apart


def network():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 16, 16), nn.ReLU(), nn.Linear(16, 4)
    )


@cache
def pictures(seed, count):
    """A bar of one of four directions, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    places = torch.randint(1, 5, (count, 1, 1), generator=generator)
    rows, columns = torch.arange(6)[:, None], torch.arange(6)
    across = torch.stack([rows + 0 * columns, columns + 0 * rows, columns - rows + 3, columns + rows - 2])
    images = 0.6 * torch.randn(count, 6, 6, generator=generator) + 2.0 * (across[labels] == places)
    return images[:, None], labels


def trained(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = network()
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        images, labels = pictures(0, 1024)
        for step in range(60):
            part = slice(128 * step % 1024, 128 * step % 1024 + 128)
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(images[part]), labels[part]).backward()
            optimiser.step()
    return net


def loss(state):
    net = network()
    net.load_state_dict(state)
    images, labels = pictures(1, 512)
    with torch.no_grad():
        return nn.functional.cross_entropy(net(images), labels).item()


def barrier(one, other):
    """How far the loss half way lies above the mean of the ends."""
    return loss(Linear()(None, [one, other])) - (loss(one) + loss(other)) / 2


def test_networks_that_were_trained_apart():
    nets = [trained(2), trained(5)]
    groups = sequential_groups(nets[0])
    seen = [unit_activations(net, groups.sizes, [pictures(0, 1024)[0][:256]], every=4) for net in nets]
    one, other = (net.state_dict() for net in nets)
    by_activations = groups.permute(other, ActivationMatching()(*seen))
    _, by_weights = WeightMatching(groups)(nets)
    before = barrier(one, other)
    assert before > 0.2
    assert barrier(one, by_activations) < 0.3 * before
    assert barrier(one, by_weights) < 0.3 * before
    # What one unit of the other network does not say, a few of them do.
    for layer in groups.sizes:
        few = SparsePrediction(0.05)(seen[0], seen[1])[layer]
        alone = SparsePrediction(0.05)({layer: seen[0][layer]}, {layer: seen[1][layer][:, :1]})[layer]
        assert few.unexplained.mean() < alone.unexplained.mean()
        tied = SpectralMatching(4)(seen[0], seen[1])[layer]
        every = torch.corrcoef(torch.cat([seen[0][layer], seen[1][layer]], 1).T)[: len(tied.first), len(tied.first) :]
        assert tied.strength.mean() > every.abs().nan_to_num().mean()
