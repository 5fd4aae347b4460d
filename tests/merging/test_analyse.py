"""The analysis of a merge, by hand and against arrays."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.merging import dense
from tests.merging.made import one, siblings

from accord.errors import ConfigurationError, DataError
from accord.merging import TIES, Linear, TaskArithmetic, analyse
from accord.merging.analyse import nearest_sum


def test_by_hand():
    base = one(1.0, 1.0, 1.0, 1.0)
    models = {"a": one(4.0, 1.0, 1.0, 5.0), "b": one(1.0, -1.0, 1.0, 4.0), "c": one(1.0, 2.0, 1.0, 0.0)}
    # changes (3, 0, 0, 4), (0, -2, 0, 3), (0, 1, 0, -1); merged change (3, -1, 0, 3)
    found = analyse(base, models, one(4.0, 0.0, 1.0, 4.0)).whole
    assert found.models == ("a", "b", "c") and found.elements == 4 and found.base == 4.0
    assert np.diag(found.gramian).tolist() == [25.0, 13.0, 2.0]
    assert found.cosines[0, 1] == pytest.approx(12 / 5 / math.sqrt(13))
    assert found.conflict == 1.0  # both places that several changed, in both directions
    assert found.kept.tolist() == pytest.approx([21 / 25, 11 / 13, -4 / 2])
    # sums of magnitudes 7, 5, 2; the plain sum loses 3 - 1 and 8 - 6
    assert found.before == pytest.approx(4 / 14)
    # only c is gone against, in both its places
    assert found.after == pytest.approx(2 / 14)


def test_a_weighted_sum_is_found_again_and_explains_all():
    base, models = siblings(0, 3)
    named = dict(zip("abc", models, strict=True))
    merged = TaskArithmetic([0.5, -0.25, 1.0])(base, models)
    coefficients, share = nearest_sum(analyse(base, named, merged).whole)
    assert coefficients.tolist() == pytest.approx([0.5, -0.25, 1.0], abs=1e-5) and share == pytest.approx(1.0)
    twins, share = nearest_sum(analyse(base, {"a": models[0], "b": models[0]}, models[0]).whole)
    assert twins.tolist() == pytest.approx([0.5, 0.5]) and share == pytest.approx(1.0)
    nothing, share = nearest_sum(analyse(base, named, base).whole)
    assert not nothing.any() and math.isnan(share)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), models=st.integers(1, 4), based=st.booleans())
def test_against_arrays(seed, models, based):
    base, moved = siblings(seed, models, torch.float64, ((5, 7), (11,), (0, 2)))
    merged = TIES(0.5)(base, moved)
    found = analyse(base if based else None, {str(i): model for i, model in enumerate(moved)}, merged)
    points = np.stack([dense.vector(model) for model in moved])
    origin = dense.vector(base) if based else points.mean(0)
    deltas, change = points - origin, dense.vector(merged) - origin
    whole = found.whole
    np.testing.assert_allclose(whole.gramian, deltas @ deltas.T, atol=1e-12)
    np.testing.assert_allclose(whole.onto, deltas @ change, atol=1e-12)
    several = (deltas != 0).sum(0) > 1
    opposed = several & (deltas > 0).any(0) & (deltas < 0).any(0)
    assert whole.shared == several.sum() and whole.opposed == opposed.sum()
    sizes = np.abs(deltas)
    if sizes.sum():
        assert whole.after == pytest.approx((sizes * (np.sign(deltas) != np.sign(change))).sum() / sizes.sum())
    assert set(found.tensors) == {"t0", "t1"} and sum(t.elements for t in found.tensors.values()) == 46


def test_tensors_of_several_blocks_and_numbers_that_are_none():
    base, moved = siblings(3, 3, torch.float64, ((200, 201), (70_000,)))
    merged = Linear()(None, moved)
    moved[1]["t0"][150, 3], moved[2]["t0"][7, 7] = math.nan, moved[2]["t1"][5]
    moved[0]["t1"][60_000] = base["t1"][60_000]
    changes = np.stack([dense.vector(model) - dense.vector(base) for model in moved])
    changes[np.isnan(changes)] = 0.0
    change, sizes = dense.vector(merged) - dense.vector(base), np.abs(changes)
    found = analyse(base, dict(zip("abc", moved, strict=True)), merged, threads=2).whole
    np.testing.assert_allclose(found.gramian, changes @ changes.T, rtol=1e-10)
    np.testing.assert_allclose(found.onto, changes @ change, rtol=1e-10)
    np.testing.assert_allclose(found.against, (sizes * (changes * change <= 0)).sum(1), rtol=1e-10)
    assert found.cancelled == pytest.approx((sizes.sum(0) - np.abs(changes.sum(0))).sum())
    several = (changes != 0).sum(0) > 1
    opposed = several & (changes > 0).any(0) & (changes < 0).any(0)
    assert (found.shared, found.opposed) == (several.sum(), opposed.sum())


def test_looking_leaves_the_number_of_threads_alone():
    def told():
        with ThreadPoolExecutor(1) as pool:
            return torch.get_num_threads(), pool.submit(torch.get_num_threads).result()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        base, models = siblings(0, 2)
        analyse(base, {"a": models[0]}, models[1])
        assert told() == (2, 2)
    finally:
        torch.set_num_threads(before)


def test_files_and_modules(tmp_path):
    base, models = siblings(1, 2, torch.bfloat16)
    for name, state in (("base", base), ("a", models[0]), ("b", models[1])):
        save_file(state, tmp_path / f"{name}.safetensors")
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("a", "b")}
    merged = Linear()(None, models)
    from_files = analyse(tmp_path / "base.safetensors", paths, merged).whole
    from_memory = analyse(base, dict(zip("ab", models, strict=True)), merged, threads=1).whole
    np.testing.assert_array_equal(from_files.gramian, from_memory.gramian)
    layer = torch.nn.Linear(2, 2)
    assert analyse(layer, {"same": layer}, layer).whole.merged == 0.0


def test_a_merge_that_does_not_fit_is_named():
    base, models = siblings(2, 2)
    named = dict(zip("ab", models, strict=True))
    with pytest.raises(DataError, match=r"t1 is \[11\] in the models and missing"):
        analyse(base, named, {name: tensor for name, tensor in base.items() if name != "t1"})
    with pytest.raises(DataError, match=r"t1 is \[11\] in the models and \[3\]"):
        analyse(base, named, {**base, "t1": torch.zeros(3)})
    with pytest.raises(ConfigurationError, match="no model"):
        analyse(base, {}, base)
