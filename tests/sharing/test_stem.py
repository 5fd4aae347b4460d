import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.data.features import FeatureLayout, Features
from accord.errors import ConfigurationError
from accord.sharing import FeatureStem
from accord.sharing.categorical import CategoricalEmbedding, embedding_width
from accord.sharing.numeric import Periodic, PiecewiseLinear
from accord.sharing.text import TextEmbedding

LAYOUT = FeatureLayout(
    numeric=("age", "pay"),
    edges=((-1.0, 0.0, 1.0), (-2.0, -1.0, 0.5, 3.0)),
    indicators=("pay",),
    categorical=("sex", "state"),
    cardinalities=(3, 50),
    text=("title",),
    text_buckets=20,
    text_width=4,
)


def rows(count):
    generator = torch.Generator().manual_seed(0)
    return Features(
        torch.randn(count, 2, generator=generator),
        torch.zeros(count, 1, dtype=torch.bool),
        torch.stack([torch.arange(count) % 3, torch.arange(count) % 50], 1).short(),
        (torch.arange(count * 4).view(count, 1, 4) % 20).short(),
    )[:]


@pytest.mark.parametrize("numeric", ["piecewise_linear", "periodic", "identity"])
@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("dim", [None, 4])
def test_shapes_and_that_every_weight_learns(numeric, count, dim):
    stem = FeatureStem(LAYOUT, numeric=numeric, categorical_dim=dim)
    outputs = stem(rows(count))
    assert outputs.shape == (count, stem.out_features)
    outputs.square().sum().backward()
    assert all(parameter.grad is not None for parameter in stem.parameters())
    if count > 1:
        assert all(parameter.grad.abs().sum() > 0 for parameter in stem.parameters())


@pytest.mark.parametrize("part", ["numeric", "categorical", "text"])
def test_any_sort_of_column_may_be_absent(part):
    only = {
        "numeric": FeatureLayout(numeric=LAYOUT.numeric, edges=LAYOUT.edges),
        "categorical": FeatureLayout(categorical=("sex",), cardinalities=(3,)),
        "text": FeatureLayout(text=("title",), text_buckets=20, text_width=4),
    }[part]
    full = rows(4)
    features = Features(
        full.numeric[:, : len(only.numeric)],
        full.indicators[:, :0],
        full.categorical[:, : len(only.categorical)],
        full.text[:, : len(only.text)],
    )
    stem = FeatureStem(only)
    assert stem(features).shape == (4, stem.out_features)


def test_no_features_and_wrong_options():
    with pytest.raises(ConfigurationError, match="no features"):
        FeatureStem(FeatureLayout())
    with pytest.raises(ConfigurationError, match="Did you mean 'periodic'"):
        FeatureStem(LAYOUT, numeric="periodc")  # pyright: ignore
    with pytest.raises(ConfigurationError, match="text_dim is 0"):
        FeatureStem(LAYOUT, text_dim=0)


def test_the_start_depends_on_the_generator_alone():
    before = torch.random.get_rng_state()
    for numeric in ("piecewise_linear", "periodic"):
        first, second = (FeatureStem(LAYOUT, numeric=numeric, generator=torch.Generator().manual_seed(3)) for _ in "ab")
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_piecewise_linear_encoding_by_hand():
    module = PiecewiseLinear([(-1.0, 0.0, 2.0), (0.0, 1.0)], dim=2)
    with torch.no_grad():
        module.bias.zero_()
        module.weight.copy_(torch.eye(2).expand(2, 2, 2))
    encoded = module(torch.tensor([[-5.0, -1.0], [-0.25, 0.25], [0.5, 1.0], [7.0, 9.0]]))
    expected = [[0, 0, 0, 0], [0.75, 0, 0.25, 0], [1, 0.25, 1, 0], [1, 1, 1, 0]]
    torch.testing.assert_close(encoded, torch.tensor(expected))


def test_a_bin_without_width_is_harmless():
    module = PiecewiseLinear([(0.0, 0.0, 1.0)], dim=3)
    values = torch.tensor([[0.0], [0.5], [float(np.finfo(np.float32).max)]])
    outputs = module(values)
    outputs.sum().backward()
    assert torch.isfinite(outputs).all() and all(torch.isfinite(p.grad).all() for p in module.parameters())


def test_periodic_by_hand():
    module = Periodic(1, 2, frequencies=1)
    with torch.no_grad():
        module.frequencies.fill_(0.25)
        module.bias.zero_()
        module.weight.copy_(torch.eye(2)[None])
    torch.testing.assert_close(module(torch.tensor([[1.0], [0.0]])), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.none() | st.integers(1, 5), st.integers(0, 2**31))
def test_categories_are_looked_up_in_their_own_rows(cardinalities, dim, seed):
    module = CategoricalEmbedding(cardinalities, dim)
    rng = np.random.default_rng(seed)
    codes = torch.tensor(np.stack([rng.integers(0, size, 5) for size in cardinalities], 1), dtype=torch.int32)
    outputs = module(codes)
    assert outputs.shape == (5, module.out_features)
    # One entry of the tables for each code of each column, and never shared by two.
    outputs.sum().backward()
    used = sum(len(set(codes[:, k].tolist())) * (dim or embedding_width(c)) for k, c in enumerate(cardinalities))
    assert sum(int((table.grad != 0).sum()) for table in module.tables) == used
    again = module(codes.flip(0))
    torch.testing.assert_close(again.flip(0), outputs)


def test_widths_grow_with_cardinality():
    widths = [embedding_width(n) for n in (1, 2, 5, 20, 100, 10**6)]
    assert widths == sorted(widths) and widths[0] == 2 and widths[-1] == 32


def test_text_is_the_mean_of_its_grams():
    module = TextEmbedding(10, 1, 3)
    outputs = module(torch.tensor([[[1, 4, 4, 0]], [[0, 0, 0, 0]]], dtype=torch.int32))
    torch.testing.assert_close(outputs[0], (module.table[1] + 2 * module.table[4]) / 3)
    assert torch.equal(outputs[1], torch.zeros(3))
    outputs.sum().backward()
    assert module.table.grad is not None and module.table.grad[0].abs().sum() == 0
