"""AdaRank: where it begins, what it learns, and that masks are masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.merging.learned.family import TASKS, family

from accord.errors import ConfigurationError
from accord.merging import AdaRank


def states():
    known = family()
    base = known.base.state_dict()
    return base, [{n: expert.state_dict()[n] for n in base} for expert in known.experts.values()]


def truncated(base, models, share, start, centre):
    """Sums of leading triplets, in numpy."""
    merged = {}
    for name, value in base.items():
        origin = value.double().numpy()
        points = [model[name].double().numpy() for model in models]
        if centre == "mean":
            origin = np.mean(points, axis=0)
        total = origin.copy()
        for point in points:
            delta = point - origin
            if delta.ndim == 2:
                left, values, right = np.linalg.svd(delta, full_matrices=False)
                kept = int(len(values) * share)
                delta = left[:, :kept] * values[:kept] @ right[:kept]
            total += start * delta
        merged[name] = total
    return merged


@pytest.mark.parametrize("centre", ["base", "mean"])
@pytest.mark.parametrize("share", [None, 0.0, 0.5, 1.0])
def test_it_begins_with_truncated_task_vectors(centre, share):
    base, models = states()
    known = family()
    method = AdaRank(share, centre, steps=1, rate=1e-12)
    merged = method(known.base, known.experts, known.batches)
    expected = truncated(base, models, 1 / 3 if share is None else share, 0.3, centre)
    for name, value in expected.items():
        np.testing.assert_allclose(merged.state[name].double().numpy(), value, atol=2e-6)


def test_learning_lowers_the_entropy_and_masks_stay_masks():
    known = family()
    merged = AdaRank(steps=60, rate=0.02)(known.base, known.experts, known.batches)
    first, last = merged.history[:5].sum(1).mean(), merged.history[-5:].sum(1).mean()
    assert last < 0.7 * first
    base, models = states()
    # With its coefficients taken out, what a task adds to a matrix is some of its own triplets, whole or not at all.
    name = "trunk.stem.weight"
    place = list(merged.state).index(name)
    columns = []
    for task, model in enumerate(models):
        left, values, right = torch.linalg.svd((model[name] - base[name]).double(), full_matrices=False)
        columns += [
            float(merged.coefficients[task, place]) * v * torch.outer(u, w)
            for u, v, w in zip(left.T, values, right, strict=True)
        ]
    system = torch.stack([column.flatten() for column in columns], 1)
    change = (merged.state[name] - base[name]).double().flatten()
    best = min(
        (
            (
                torch.tensor(mask, dtype=torch.float64),
                (system @ torch.tensor(mask, dtype=torch.float64) - change).norm(),
            )
            for mask in np.ndindex(*[2] * len(columns))
        ),
        key=lambda pair: pair[1],
    )
    assert best[1] < 1e-5 * change.norm()
    assert best[0].sum() > 0
    # It began with the first of four directions of each task, and has learned better.
    assert best[0].tolist() != [1.0, 0.0, 0.0, 0.0] * len(models)


def test_coefficients_stay_within_bounds_unless_they_need_not():
    known = family()
    wild = {"steps": 4, "rate": 0.4, "start": 0.5}
    bounded = AdaRank(**wild)(known.base, known.experts, known.batches).coefficients
    free = AdaRank(clamp=False, **wild)(known.base, known.experts, known.batches).coefficients
    assert bounded.min() >= 0 and bounded.max() <= 1 and (free.min() < 0 or free.max() > 1)


def test_a_low_temperature_moves_scores_near_one_half_most():
    known = family()
    runs = [
        AdaRank(steps=25, rate=0.02, temperature=temperature)(known.base, known.experts, known.batches).history
        for temperature in (1.0, 0.02)
    ]
    assert torch.allclose(runs[0][0], runs[1][0]) and not torch.allclose(runs[0][-1], runs[1][-1], rtol=1e-3)


def test_accuracy_rises_above_where_it_began():
    known = family()

    def accuracy(merged):
        right = [
            (merged.modules[task](inputs).argmax(1) == labels).double().mean().item()
            for task in TASKS
            for inputs, labels in known.batches[task]
        ]
        return float(np.mean(right))

    begun = accuracy(AdaRank(centre="mean", steps=1, rate=1e-12)(known.base, known.experts, known.batches))
    learned = accuracy(AdaRank(centre="mean", steps=60, rate=0.02)(known.base, known.experts, known.batches))
    assert learned > begun + 0.02


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"centre": "median"}, {"temperature": 0.0}, {"steps": 0}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        AdaRank(**wrong)
