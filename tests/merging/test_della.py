"""DELLA: probabilities by rank, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.merging.made import one, siblings

from accord.errors import ConfigurationError
from accord.merging import DELLA, TaskArithmetic
from accord.merging.della import by_size, uniform

ROWS = 20_000


def one_model(epsilon, **options):
    """The same row of rising magnitudes, many times: how often each entry survived, and what of it."""
    row = torch.tensor([1.0, -2.0, 3.0, 4.0, -5.0])
    merged = DELLA(0.5, epsilon, merge="linear", **options)({"w": torch.zeros(ROWS, 5)}, [{"w": row.expand(ROWS, 5)}])
    kept = merged["w"] != 0
    return kept.double().mean(0).numpy(), merged["w"], row


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_the_chance_of_survival_rises_with_the_rank(epsilon):
    often, merged, row = one_model(epsilon)
    chances = np.linspace(0.5 - epsilon, 0.5 + epsilon, 5)
    np.testing.assert_allclose(often, chances, atol=4 * np.sqrt(0.25 / ROWS))
    survivors = [merged[:, place][merged[:, place] != 0].unique() for place in range(5)]
    for place, values in enumerate(survivors):
        assert values.tolist() == pytest.approx([float(row[place]) / chances[place]])


def test_without_rescaling_what_survives_is_as_it_was():
    _, merged, row = one_model(0.2, rescale=False)
    assert set(merged.unique().tolist()) == {0.0, *row.tolist()}


def test_by_hand_from_the_numbers_drawn():
    base = one(0.0, 0.0, 0.0)
    models = [one(3.0, 1.0, 2.0), one(-1.0, 2.0, 4.0), one(2.0, 2.5, -6.0)]
    chances = [[0.75, 0.25, 0.5], [0.25, 0.5, 0.75], [0.25, 0.5, 0.75]]
    drawn = [uniform(7, "w", index, 0, 3) for index in range(3)]
    rows = [
        [
            value / chance if number < chance else 0.0
            for value, chance, number in zip(m["w"].tolist(), c, d, strict=True)
        ]
        for m, c, d in zip(models, chances, drawn, strict=True)
    ]
    expected = []
    for entries in zip(*rows, strict=True):
        agreeing = [entry for entry in entries if entry * sum(entries) > 0]
        expected.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    merged = DELLA(0.5, 0.25, seed=7)(base, models)["w"]
    assert any(expected) and not all(expected)
    assert merged.tolist() == pytest.approx(expected, rel=1e-6)


def test_masks_depend_on_seed_model_and_name_and_on_no_block():
    whole = uniform(0, "w", 1, 0, 1000)
    pieces = np.concatenate([uniform(0, "w", 1, start, min(37, 1000 - start)) for start in range(0, 1000, 37)])
    np.testing.assert_array_equal(whole, pieces)
    for other in (uniform(1, "w", 1, 0, 1000), uniform(0, "v", 1, 0, 1000), uniform(0, "w", 0, 0, 1000)):
        assert abs(np.corrcoef(whole, other)[0, 1]) < 0.2
    assert abs(whole.mean() - 0.5) < 0.05 and whole.min() >= 0 and whole.max() < 1


def test_density_1_is_the_sum_and_one_model_comes_back():
    base, models = siblings(0, 3)
    merged = DELLA(1.0, 0.0, merge="linear", scale=0.3)(base, models)
    expected = TaskArithmetic(0.3)(base, models)
    assert all(torch.allclose(merged[name], expected[name]) for name in base)
    assert all(torch.equal(t, models[0][n]) for n, t in DELLA(1.0, 0.0)(base, models[:1]).items())


def test_a_row_of_one_entry_is_kept_with_the_density():
    merged = DELLA(0.5, 0.4, merge="linear")({"w": torch.zeros(ROWS, 1)}, [{"w": torch.ones(ROWS, 1)}])["w"]
    assert set(merged.unique().tolist()) == {0.0, 2.0}
    assert abs((merged != 0).double().mean() - 0.5) < 4 * np.sqrt(0.25 / ROWS)


@pytest.mark.parametrize("options", [{"density": 0.1}, {"density": 0.9}, {"epsilon": -0.1}])
def test_probabilities_beyond_0_and_1_are_refused(options):
    with pytest.raises(ConfigurationError, match="probabilities run from"):
        DELLA(**options)


def test_one_density_for_each_model():
    base, models = siblings(1, 2)
    each = DELLA([1.0, 0.5], [0.15, 0.2], merge="linear")(base, models)
    first = DELLA(1.0, 0.0, merge="linear")(base, models[:1])
    dropped = {name: tensor - first[name] for name, tensor in each.items()}
    lost = DELLA(0.5, 0.2, merge="linear", weights=[0.0, 1.0])(base, models)
    assert all(torch.allclose(dropped[name], lost[name] - base[name], atol=1e-6) for name in base)


def test_places_by_size_are_those_of_a_stable_sort():
    generator = torch.Generator().manual_seed(0)
    for sizes in (torch.rand(7, 33, generator=generator), torch.randint(3, (5, 12), generator=generator).float()):
        assert torch.equal(by_size(sizes), torch.argsort(sizes, dim=1, stable=True))
    odd = torch.tensor([[float("inf"), 0.0, 1e-45, 2.0, 0.0]], dtype=torch.float64)
    assert by_size(odd).tolist() == [[1, 4, 2, 3, 0]]
    assert by_size(torch.zeros(0, 4)).shape == (0, 4)
