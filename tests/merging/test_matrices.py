"""Methods of whole matrices: by hand, against numpy, and what the plan says of their memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.merging.made import array, siblings

import accord.merging.spectra as spectra
from accord.errors import ConfigurationError
from accord.merging import DOGE, WUDI, IsoC, IsoCTS, KnOTS, Linear, TaskArithmetic, TSVMerge, plan_merge
from accord.merging.memory import anonymous
from accord.merging.spectra import polar, svd

ALL = [TSVMerge(), IsoC(), IsoCTS(), KnOTS(), WUDI(steps=3), DOGE(steps=3)]


def state(*rows):
    return {"w": torch.tensor(rows, dtype=torch.float64)}


ZERO = state([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
AXES = [
    state(*[[size * (i == j == place) for j in range(3)] for i in range(3)]) for place, size in enumerate((1, 2, 6))
]


def triplets(matrix):
    return np.linalg.svd(matrix, full_matrices=False)


def whitened(matrix):
    left, _, right = triplets(matrix)
    return left @ right


def test_three_tasks_with_one_axis_each_by_hand():
    # The axes are orthogonal: TSV-Merge adds them up, Iso-C gives each the mean strength 3.
    assert torch.allclose(TSVMerge()(ZERO, AXES)["w"], torch.diag(torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)))
    assert torch.allclose(IsoC()(ZERO, AXES)["w"], 3.0 * torch.eye(3, dtype=torch.float64))
    # With no common directions each task adds its own.
    assert torch.allclose(IsoCTS(0.0)(ZERO, AXES)["w"], 3.0 * torch.eye(3, dtype=torch.float64))
    # A task's own inputs are disturbed by no other: the sum is the minimum, and Adam stays there.
    for solver in ("adam", "exact"):
        assert torch.allclose(WUDI(solver)(ZERO, AXES)["w"], torch.diag(torch.tensor([1.0, 2.0, 6.0]).double()))
    # In the joint space the parts do not meet; half of their nine entries holds all of each.
    assert torch.allclose(
        KnOTS(0.5, trim="tensor")(ZERO, AXES)["w"], torch.diag(torch.tensor([1.0, 2.0, 6.0]).double())
    )


def test_tasks_on_one_axis_by_hand():
    models = [state([2.0, 0.0], [0.0, 0.0]), state([4.0, 0.0], [0.0, 0.0])]
    base = state([0.0, 0.0], [0.0, 0.0])
    # Both have the same vectors, which they share: half of each strength, 1 + 2.
    assert TSVMerge()(base, models)["w"][0, 0].item() == pytest.approx(3.0)
    # The mean singular value of the sum is (6 + 0) / 2, and the direction of value 0 is none.
    assert torch.allclose(IsoC()(base, models)["w"], state([3.0, 0.0], [0.0, 0.0])["w"])
    # So it is where all directions are common ones.
    assert torch.allclose(IsoCTS(1.0)(base, models)["w"], state([3.0, 0.0], [0.0, 0.0])["w"])
    # A = 2 in the first coordinate and B = 2 + 4: the minimum is 3.
    assert torch.allclose(WUDI("exact")(base, models)["w"], state([3.0, 0.0], [0.0, 0.0])["w"])


def test_more_tasks_than_rank_keep_one_direction_each():
    models = [state([3.0, 0.0], [0.0, 0.0]), state([0.0, 4.0], [0.0, 0.0]), state([0.0, 0.0], [0.0, 5.0])]
    merged = TSVMerge()(state([0.0, 0.0], [0.0, 0.0]), models)["w"]
    # The first two share a left vector and the last two a right one, which gives each of them 1 / sqrt 2 of it.
    half = 2**-0.5
    assert torch.allclose(merged, state([3 * half, 4 * half * half], [0.0, 5 * half])["w"])


@pytest.mark.parametrize("method", [WUDI(), WUDI("exact"), DOGE(density=1.0, steps=0)], ids=repr)
def test_a_task_that_changed_nothing_does_not_count(method):
    with_it, without = method(ZERO, [*AXES, ZERO])["w"], method(ZERO, AXES)["w"]
    assert torch.allclose(with_it, without) and without.any()


@pytest.mark.parametrize("method", [TSVMerge(), WUDI(), KnOTS(1.0)], ids=repr)
def test_one_model_comes_back(method):
    base, (model,) = siblings(0, 1, torch.bfloat16)
    assert all(torch.equal(tensor, model[name]) for name, tensor in method(base, [model]).items())


@pytest.mark.parametrize("method", ALL, ids=repr)
def test_scale_0_is_the_base_and_what_is_excluded_the_mean(method):
    base, models = siblings(1, 3, torch.float32, ((6, 5), (4, 3), (7,)))
    method.scale, method.others = 0.0, "mean"
    assert all(torch.equal(tensor, base[name]) for name, tensor in method(base, models).items())
    method.scale, method.exclude = 1.0, ["t[01]"]
    merged, mean = method(base, models), Linear()(None, models)
    assert all(torch.allclose(merged[name], mean[name]) for name in base)
    method.others = "base"
    assert all(torch.equal(tensor, base[name]) for name, tensor in method(base, models).items())
    method.scale, method.exclude, method.others = 1.0, (), "mean"


def dense(method, deltas):
    """The merged matrix, written for arrays that are held whole."""
    count, rank = len(deltas), min(deltas[0].shape)
    if isinstance(method, TSVMerge):
        parts = [triplets(delta) for delta in deltas]
        kept = max(1, rank // count)
        left = np.concatenate([part[0][:, :kept] for part in parts], 1)
        right = np.concatenate([part[2][:kept] for part in parts])
        return whitened(left) @ np.diag(np.concatenate([part[1][:kept] for part in parts])) @ whitened(right)
    if isinstance(method, IsoC):
        left, values, right = triplets(sum(deltas))
        return values.mean() * left @ right
    each = round((rank - int(rank * method.common)) / count)
    common = rank - each * count
    left, values, right = (
        part[..., :common] if place < 2 else part[:common] for place, part in enumerate(triplets(sum(deltas)))
    )
    lefts, strengths, rights = [left], [values], [right]
    for delta in deltas:
        own = triplets(delta - left @ left.T @ delta)
        lefts.append(own[0][:, :each])
        strengths.append(own[1][:each])
        rights.append(own[2][:each])
    joint = whitened(np.concatenate(lefts, 1)) @ whitened(np.concatenate(rights))
    return np.concatenate(strengths).mean() * joint


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(2, 3),
    rows=st.integers(4, 12),
    columns=st.integers(4, 12),
    scale=st.sampled_from([1.0, 0.4]),
    gramian=st.booleans(),
)
def test_singular_vectors_against_numpy(seed, models, rows, columns, scale, gramian):
    base, moved = siblings(seed, models, torch.float64, ((rows, columns),), 1.0)
    origin, points = array(base["t0"]), [array(model["t0"]) for model in moved]
    deltas = [point - origin for point in points]
    before, spectra.DIRECT = spectra.DIRECT, 0 if gramian else spectra.DIRECT
    try:
        for method in (TSVMerge(scale), IsoC(scale), IsoCTS(0.5, scale)):
            merged = array(method(base, moved)["t0"])
            np.testing.assert_allclose(merged, origin + scale * dense(method, deltas), atol=2e-6)
    finally:
        spectra.DIRECT = before


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 3),
    shape=st.sampled_from([(3, 9), (8, 4), (5, 5)]),
    density=st.sampled_from([0.2, 0.6, 1.0]),
    aligned=st.sampled_from(["V", "SV"]),
    weights=st.sampled_from([(1.0, 1.0, 1.0), (2.0, 0.5, 1.0), (1.0, -2.0, 0.3)]),
)
def test_knots_against_numpy(seed, models, shape, density, aligned, weights):
    base, moved = siblings(seed, models, torch.float64, (shape,), 1.0)
    deltas = [array(model["t0"]) - array(base["t0"]) for model in moved]
    left, values, right = triplets(np.concatenate(deltas, 1))
    parts = np.split(values[:, None] * right if aligned == "SV" else right, models, axis=1)
    kept = max(1, int(density * parts[0].size + 1e-9))
    trimmed = np.stack([np.where(np.abs(p) >= np.sort(np.abs(p).ravel())[p.size - kept], p, 0.0) for p in parts])
    own = np.array(weights[:models])[:, None, None]
    agrees = own * trimmed * np.sign((own * trimmed).sum(0)) > 0
    mean = (own * trimmed * agrees).sum(0) / np.maximum((np.abs(own) * agrees).sum(0), 1e-300)
    expected = array(base["t0"]) + (left @ mean if aligned == "SV" else left * values @ mean)
    # Signs of singular vectors are free, and change nothing: merged parts change sign with their left vectors.
    merged = KnOTS(density, aligned, "tensor", weights=weights[:models])(base, moved)["t0"]
    np.testing.assert_allclose(array(merged), expected, atol=1e-9)
    # Of one matrix the ranks over the model are those of the matrix.
    np.testing.assert_allclose(KnOTS(density, aligned, weights=weights[:models])(base, moved)["t0"], merged, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), density=st.sampled_from([0.05, 0.3, 0.8]), aligned=st.sampled_from(["V", "SV"]))
def test_knots_ranks_the_parts_of_all_matrices_together(seed, density, aligned):
    base, moved = siblings(seed, 3, torch.float64, ((4, 6), (7, 3), (5,), (2, 2, 3)), 1.0)
    for model in moved:  # the second matrix moved most, and in V nothing is seen of that
        model["t1"] = base["t1"] + 50.0 * (model["t1"] - base["t1"])
    parts, lefts = {}, {}
    for name in ("t0", "t1"):
        left, values, right = triplets(np.concatenate([array(m[name]) - array(base[name]) for m in moved], 1))
        lefts[name] = left if aligned == "SV" else left * values
        parts[name] = np.stack(np.split(values[:, None] * right if aligned == "SV" else right, 3, axis=1))
    sizes = np.abs(np.concatenate([part.reshape(3, -1) for part in parts.values()], axis=1)).astype(np.float32)
    kept = max(1, int(density * sizes.shape[1] + 1e-9))
    least = np.sort(sizes, axis=1)[:, -kept][:, None, None]
    merged = KnOTS(density, aligned)(base, moved)
    for name, part in parts.items():
        trimmed = np.where(np.abs(part).astype(np.float32) >= least, part, 0.0)
        agrees = trimmed * np.sign(trimmed.sum(0)) > 0
        mean = (trimmed * agrees).sum(0) / np.maximum(agrees.sum(0), 1)
        np.testing.assert_allclose(array(merged[name]), array(base[name]) + lefts[name] @ mean, atol=1e-9)


def interference(point, deltas):
    return sum(((point - delta) @ delta.T).square().sum() / delta.square().sum() for delta in deltas)


def test_wudi_lowers_its_loss_as_adam_does_and_the_exact_solution_has_no_slope():
    base, models = siblings(3, 3, torch.float64, ((6, 8),), 0.5)
    deltas = [model["t0"] - base["t0"] for model in models]
    point = sum(deltas).clone().requires_grad_()
    optimiser = torch.optim.Adam([point], lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        interference(point, deltas).backward()
        optimiser.step()
    merged = WUDI(steps=40, rate=1e-2)(base, models)["t0"] - base["t0"]
    assert torch.allclose(merged, point.detach(), atol=1e-7)
    exact = (WUDI("exact")(base, models)["t0"] - base["t0"]).requires_grad_()
    (slope,) = torch.autograd.grad(interference(exact, deltas), exact)
    assert slope.abs().max() < 1e-9
    assert interference(exact, deltas) < interference(merged, deltas) < interference(sum(deltas), deltas)


def test_doge_against_autograd():
    base, models = siblings(4, 3, torch.float64, ((7, 9),), 0.5)
    deltas = [model["t0"] - base["t0"] for model in models]
    shares = [0.07 / delta.norm() for delta in deltas]
    leading = np.concatenate([triplets(delta.numpy())[0][:, : 7 // 3] for delta in deltas], 1)
    shared = torch.from_numpy(triplets(leading)[0][:, : 7 // 2])
    change = torch.zeros_like(deltas[0], requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=1e-3)
    for _ in range(25):
        optimiser.zero_grad()
        joint = sum(share * (delta + change) for share, delta in zip(shares, deltas, strict=True))
        sum((delta * (delta - joint)).sum(1).square().sum() for delta in deltas).backward()
        change.grad -= shared @ shared.T @ change.grad
        optimiser.step()
    expected = base["t0"].clone()
    for share, delta in zip(shares, deltas, strict=True):
        kept = delta.abs() >= delta.abs().flatten().sort().values[63 - 18]  # 30 % of 63
        expected += share * kept * (delta + change.detach())
    merged = DOGE(subspace=2, steps=25, rate=1e-3)(base, models)["t0"]
    assert torch.allclose(merged, expected, atol=1e-8)


def test_doge_without_steps_or_trimming_is_task_arithmetic_with_its_own_coefficients():
    base, models = siblings(5, 2, torch.float64, ((4, 5),))
    shares = [0.07 / (model["t0"] - base["t0"]).norm().item() for model in models]
    merged, expected = DOGE(density=1.0, steps=0)(base, models), TaskArithmetic(shares)(base, models)
    assert torch.allclose(merged["t0"], expected["t0"])


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    rank=st.integers(0, 9),
    gramian=st.booleans(),
)
def test_singular_triplets_of_any_rank(seed, rows, columns, rank, gramian):
    generator = torch.Generator().manual_seed(seed)
    factors = [
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((rows, rank), (rank, columns))
    ]
    matrix = factors[0] @ factors[1]
    before, spectra.DIRECT = spectra.DIRECT, 0 if gramian else spectra.DIRECT
    try:
        left, values, right = svd(matrix)
        near = polar(matrix)
    finally:
        spectra.DIRECT = before
    assert len(values) == min(rows, columns, rank) and (values.diff() <= 1e-9).all()  # the largest first
    eye = torch.eye(len(values), dtype=torch.float64)
    assert torch.allclose(left * values @ right, matrix, atol=1e-9)
    assert torch.allclose(left.T @ left, eye, atol=1e-6) and torch.allclose(right @ right.T, eye, atol=1e-6)
    assert torch.allclose(near @ near.T @ near, near, atol=1e-6)  # a partial isometry


def test_numbers_that_are_not_finite_are_named_with_the_way_out():
    base, models = siblings(6, 2, torch.float32, ((3, 3),))
    models[1]["t0"][0, 0] = float("inf")
    with pytest.raises(ConfigurationError, match=r"model 1 .* t0 .*exclude=\['t0'\]"):
        TSVMerge()(base, models)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: IsoCTS(1.5),
        lambda: KnOTS(aligned="U"),
        lambda: KnOTS(trim="row"),
        lambda: WUDI("newton"),
        lambda: WUDI(rate=0.0),
        lambda: DOGE(subspace=0),
        lambda: TSVMerge(others="sum"),
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="; got"):
        wrong()


def test_the_plan_counts_whole_matrices(tmp_path):
    base, models = siblings(7, 2, torch.float32, ((600, 600), (5,)))
    for place, tensors in enumerate([base, *models]):
        save_file(tensors, tmp_path / f"{place}.safetensors")
    paths = [tmp_path / f"{place}.safetensors" for place in range(3)]
    plan = plan_merge(TSVMerge(), paths[0], paths[1:], tmp_path / "out", threads=1)
    blocks = plan_merge(TaskArithmetic(), paths[0], paths[1:], tmp_path / "other", threads=1)
    assert plan.memory - blocks.memory > 8 * 8 * 600 * 600
    with pytest.raises(ConfigurationError, match="raise the limit"):
        own = blocks.memory - anonymous()
        plan_merge(TSVMerge(), paths[0], paths[1:], tmp_path / "out", threads=1, memory=own)
    plan.run()
