"""TALL masks, consensus and EMR by hand, against arrays, and as files."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.merging import dense
from tests.merging.made import close, one, siblings
from tests.merging.nets import TASKS, accuracy, fine_tuned

from accord.errors import ConfigurationError, DataError, RunError
from accord.merging import (
    EMR,
    Consensus,
    NonFiniteMergeWarning,
    TallMasks,
    TaskArithmetic,
    TaskStore,
    compress,
    open_store,
    verify,
)

BASE = one(1.0, 1.0, 1.0, 1.0)
# task vectors (2, 1, 0, 3), (2, -4, 0.5, 0) and (1, 1, -1, 0); sums 5, -2, -.5, 3
THREE = [one(3.0, 2.0, 1.0, 4.0), one(3.0, -3.0, 1.5, 1.0), one(2.0, 2.0, 0.0, 1.0)]


def test_tall_masks_by_hand():
    # |tau_1| >= 0.5 |tau - tau_1|: 2 >= 1.5, 1 < 1.5, 0 < 0.25, 3 >= 0
    assert TallMasks(0, 0.5)(BASE, THREE)["w"].tolist() == [6.0, 1.0, 1.0, 4.0]
    # 2 >= 1.5, 4 >= 1, 0.5 >= 0.5, 0 < 1.5
    assert TallMasks(1, 0.5)(BASE, THREE)["w"].tolist() == [6.0, -1.0, 0.5, 1.0]
    # one number for each task; for the third 1 >= 0.2 * 4, 1 >= 0.2 * 3, 1 >= 0.2 * 0.5, 0 < 0.2 * 3
    assert TallMasks(2, [0.5, 0.5, 0.2])(BASE, THREE)["w"].tolist() == [6.0, -1.0, 0.5, 1.0]


def test_consensus_by_hand():
    # At 0.5 the third mask has 1 < 2, 1 < 1.5, 1 >= 0.25, 0 < 1.5: votes 2, 1, 2, 1
    assert Consensus(2, 0.5, tall=0.5)(BASE, THREE)["w"].tolist() == [3.5, 1.0, 0.75, 1.0]
    assert Consensus(1, 1.0, tall=0.5)(BASE, THREE)["w"].tolist() == [6.0, -1.0, 0.5, 4.0]
    assert Consensus(3, 1.0, tall=0.5)(BASE, THREE)["w"].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_emr_by_hand():
    # elected (2, -4, -1, 3); the first task agrees in the first and last entry: 5, its own sizes sum to 6
    assert EMR(0)(BASE, THREE)["w"].tolist() == pytest.approx([1 + 2 * 1.2, 1.0, 1.0, 1 + 3 * 1.2])
    # the second in the first two: 6 and 6.5; the third in the first and third: 3 and 3
    factor = 6.5 / 6
    assert EMR(1)(BASE, THREE)["w"].tolist() == pytest.approx([1 + 2 * factor, 1 - 4 * factor, 1.0, 1.0])
    assert EMR(2)(BASE, THREE)["w"].tolist() == pytest.approx([3.0, 1.0, 0.0, 1.0])


@pytest.mark.parametrize("method", [TallMasks(), TallMasks(tall=5.0), EMR(), Consensus(1, 1.0)], ids=repr)
def test_the_only_task_comes_back(method):
    base, (model,) = siblings(0, 1, torch.bfloat16)
    assert all(torch.equal(tensor, model[name]) for name, tensor in method(base, [model]).items())


def test_no_mask_needed_is_task_arithmetic():
    base, models = siblings(1, 3)
    mine, theirs = Consensus(0, 0.3)(base, models), TaskArithmetic(0.3)(base, models)
    assert all(torch.allclose(mine[name], theirs[name]) for name in base)


def test_masks_compare_task_vectors_and_not_weights():
    # The base's weights are far larger than the task vectors: masks of weights would keep nearly everything.
    generator = torch.Generator().manual_seed(0)
    base = {"w": 0.5 * torch.randn(4000, generator=generator)}
    models = [{"w": base["w"] + 0.01 * torch.randn(4000, generator=generator)} for _ in range(4)]
    kept = (TallMasks(0, 0.4)(base, models)["w"] != base["w"]).double().mean().item()
    assert kept == pytest.approx(0.62, abs=0.04)


def vectors(base, models):
    return dense.vector(base), [dense.vector(model) for model in models]


def tall_oracle(base, models, tall, joint):
    deltas = [model - base for model in models]
    return [np.abs(delta) >= tall * np.abs(joint - delta) for delta in deltas]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 4),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    zeros=st.booleans(),
    ties=st.booleans(),
)
def test_against_arrays(seed, models, dtype, zeros, ties):
    base, moved = siblings(seed, models, dtype, ((4, 6), (13,)))
    if zeros:
        for model in moved:
            model["t1"][:7] = base["t1"][:7]
    origin, points = vectors(base, moved)
    joint = dense.ties(origin, points, 0.3) - origin if ties else sum(points) - models * origin
    masks = tall_oracle(origin, points, 0.4, joint)
    how = {"joint": "ties", "density": 0.3} if ties else {}
    clear = [np.abs(np.abs(p - origin) - 0.4 * np.abs(joint - p + origin)) > 1e-6 for p in points]
    for task, mask in enumerate(masks):
        got = dense.vector(TallMasks(task, 0.4, **how)(base, moved))
        close(torch.from_numpy(got[clear[task]]), (origin + mask * joint)[clear[task]], dtype)
    agreed = sum(mask.astype(int) for mask in masks) >= min(2, models)
    got, all_clear = dense.vector(Consensus(min(2, models), 0.7, **how)(base, moved)), np.all(clear, axis=0)
    close(torch.from_numpy(got[all_clear]), (origin + 0.7 * agreed * joint)[all_clear], dtype)
    if not ties:
        sign = np.sign(joint)
        unified = sign * np.max([np.maximum(sign * (p - origin), 0) for p in points], axis=0)
        for task, point in enumerate(points):
            delta = point - origin
            masked = unified * (delta * unified > 0)
            factor = np.abs(delta).sum() / np.abs(masked).sum() if np.abs(masked).sum() else 1.0
            close(torch.from_numpy(dense.vector(EMR(task)(base, moved))), origin + factor * masked, dtype)


@pytest.mark.parametrize("method", [TallMasks(), TallMasks(joint="ties"), EMR()], ids=repr)
def test_a_store_gives_every_task_back_as_the_method_does(method, tmp_path):
    base, models = siblings(2, 3, shapes=((300, 250), (13,), (), (0, 3)))
    base["steps"] = torch.tensor(7)
    for model in models:
        model["steps"] = torch.tensor(9)
    store = compress(method, base, dict(zip("abc", models, strict=True)), tmp_path / "store", dtype=torch.float64)
    assert store == open_store(tmp_path / "store") and store.tasks == ("a", "b", "c")
    for place, task in enumerate(store.tasks):
        method.task = place
        expected = method(base, models)
        restored = store.restore(task, base)
        assert list(restored) == list(expected)
        assert all(torch.equal(restored[name], expected[name]) for name in expected)
    masks = [load_file(tmp_path / "store" / f"mask-{place:03d}.safetensors") for place in range(3)]
    assert all(mask["t0"].numel() == 300 * 250 // 8 and mask["t1"].numel() == 2 for mask in masks)


def test_a_store_of_files_in_half_precision(tmp_path):
    base, models = siblings(3, 4, torch.bfloat16, ((256, 256), (64,)))
    for place, state in enumerate([base, *models]):
        save_file(state, tmp_path / f"{place}.safetensors")
    sources = {str(place): tmp_path / f"{place}.safetensors" for place in (1, 2, 3, 4)}
    store = compress(EMR(), tmp_path / "0.safetensors", sources, tmp_path / "store")
    parameters = 256 * 256 + 64
    assert store.bytes() < 2 * parameters + 4 * parameters / 8 + 4000  # four models would take 8 bytes a parameter
    out = store.restore_to("3", tmp_path / "0.safetensors", tmp_path / "third")
    assert verify(out) == 2
    restored = load_file(out / "model.safetensors")
    in_memory = store.restore("3", base)
    assert all(torch.equal(restored[name], in_memory[name]) for name in base)
    expected = EMR(2)(base, models)
    assert all(torch.allclose(restored[n].float(), expected[n].float(), rtol=0.02, atol=2e-3) for n in base)


def chosen(base, models, heads):
    """The paper's choice of every task's threshold, on validation data."""
    grid = (0.2, 0.3, 0.4, 0.5, 0.6)
    states = [[TallMasks(task, tall)(base, models) for tall in grid] for task in range(TASKS)]
    scores = [[accuracy(state, heads, task, 5) for state in row] for task, row in enumerate(states)]
    return [grid[int(np.argmax(row))] for row in scores]


@pytest.mark.parametrize("kind", ["tall", "emr"])
def test_fine_tuned_networks_keep_99_per_cent_of_their_accuracy(kind, tmp_path):
    base, models, heads = fine_tuned()
    method = EMR() if kind == "emr" else TallMasks(tall=chosen(base, models, heads))
    store = compress(method, base, {str(task): model for task, model in enumerate(models)}, tmp_path / "store")
    own = [accuracy(models[task], heads, task) for task in range(TASKS)]
    restored = [accuracy(store.restore(str(task), base), heads, task) for task in range(TASKS)]
    summed = [accuracy(TaskArithmetic(1.0)(base, models), heads, task) for task in range(TASKS)]
    assert min(own) > 0.9
    assert np.mean(np.divide(restored, own)) > 0.99
    assert np.mean(np.divide(summed, own)) < 0.97  # the vector alone does not do it


def test_stores_that_are_not_whole_are_refused(tmp_path):
    base, models = siblings(4, 2)
    folder = tmp_path / "store"
    store = compress(EMR(), base, {"left": models[0], "right": models[1]}, folder)
    assert isinstance(store, TaskStore)
    with pytest.raises(ConfigurationError, match=r"no task 'lefd'.*left"):
        store.restore("lefd", base)
    with pytest.raises(RunError, match="not empty"):
        compress(EMR(), base, {"left": models[0]}, folder)
    with pytest.raises(ConfigurationError, match="no model"):
        compress(EMR(), base, {}, tmp_path / "none")
    (folder / "mask-001.safetensors").unlink()
    with pytest.raises(DataError, match="lacks mask-001"):
        open_store(folder)
    (folder / "accord-store.json").write_text(json.dumps({"method": "x"}))
    with pytest.raises(DataError, match="no store"):
        open_store(folder)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (TallMasks(3), "from 0 to 2"),
        (EMR(-1), "from 0 to 2"),
        (Consensus(4), "at_least=4"),
        (TallMasks(tall=[0.4]), "1 numbers for 3"),
    ],
)
def test_what_does_not_fit_the_models_is_refused(method, message):
    with pytest.raises(ConfigurationError, match=message):
        method(BASE, THREE)
    with pytest.raises(ConfigurationError, match="joint is"):
        Consensus(joint="mean")


@pytest.mark.parametrize("method", [Consensus(), TallMasks(task=1), EMR(task=1)], ids=repr)
def test_what_is_no_number_is_seen(method):
    base = {"w": torch.zeros(4)}
    broken, whole = {"w": torch.tensor([1.0, math.nan, 2.0, 0.0])}, {"w": torch.tensor([1.0, 2.0, -1.0, 0.0])}
    with pytest.warns(NonFiniteMergeWarning, match="1 merged numbers of w"):
        merged = method(base, [broken, whole])["w"]
    assert merged.isnan().tolist() == [False, True, False, False]
