"""Hand-computed cases, identities, and the oracle in dense.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging import dense

import accord.merging.selection as selection
from accord.errors import ConfigurationError
from accord.merging import DARE, SLERP, TIES, Linear, ModelStock, NonFiniteMergeWarning, Rules, TaskArithmetic

BASED = [TaskArithmetic(), TIES(), TIES(trim="tensor"), DARE(), DARE(merge="ties"), ModelStock()]


def one(*numbers, dtype=torch.float32):
    return {"w": torch.tensor(numbers, dtype=dtype)}


def siblings(seed, models, dtype=torch.float32, shapes=((7, 5), (11,), (), (0, 3))):
    generator = torch.Generator().manual_seed(seed)
    base = {f"t{i}": torch.randn(s, generator=generator).to(dtype) for i, s in enumerate(shapes)}
    moved = [
        {k: (v.float() + 0.1 * torch.randn(v.shape, generator=generator)).to(dtype) for k, v in base.items()}
        for _ in range(models)
    ]
    return base, moved


BASE = one(1.0, 1.0, 1.0, 1.0)
THREE = [one(2.0, 1.0, 0.0, 5.0), one(4.0, 0.5, 3.0, 1.0), one(1.0, -1.0, 2.5, 1.0)]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Linear(), [7 / 3, 0.5 / 3, 5.5 / 3, 7 / 3]),
        (Linear([1.0, 1.0, 2.0]), [2.0, -0.125, 2.0, 2.0]),
        (Linear([0.5, 0.5, 1.0], normalise=False), [4.0, -0.25, 4.0, 4.0]),
        # task vectors (1, 0, -1, 4), (3, -.5, 2, 0), (0, -2, 1.5, 0)
        (TaskArithmetic(0.5), [3.0, -0.25, 2.25, 3.0]),
        (TaskArithmetic([1.0, -1.0, 0.0]), [-1.0, 1.5, -2.0, 5.0]),
        # half of each kept, and what is as large: (1, 0, -1, 4), (3, 0, 2, 0), (0, -2, 1.5, 0)
        (TIES(0.5), [3.0, -1.0, 2.75, 5.0]),
        (TIES(0.5, merge="sum", scale=0.5), [3.0, 0.0, 2.75, 3.0]),
        (TIES(0.5, merge="max"), [4.0, -1.0, 3.0, 5.0]),
        # weights (1, 1, 2): sums of those agreeing (1 + 3) / 2, -4 / 2, (2 + 3) / 3, 4 / 1
        (TIES(0.5, weights=[1.0, 1.0, 2.0]), [3.0, -1.0, 1 + 5 / 3, 5.0]),
    ],
)
def test_hand_computed(method, expected):
    merged = method(BASE, THREE)["w"]
    assert merged.tolist() == pytest.approx(expected, abs=1e-6)


def test_slerp_on_a_quarter_circle():
    merged = SLERP(1 / 3)(None, [one(2.0, 0.0), one(0.0, 2.0)])["w"]
    assert merged.tolist() == pytest.approx([2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])


def test_model_stock_by_hand():
    # cosine 1/2 between (1, 0) and (1, sqrt 3): t = 2/2 / (1 + 1/2) = 2/3 of the way to the mean (1, sqrt 3 / 2)
    merged = ModelStock()(one(0.0, 0.0), [one(1.0, 0.0), one(1.0, math.sqrt(3.0))])["w"]
    assert merged.tolist() == pytest.approx([2 / 3, math.sqrt(3.0) / 3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_model_at_coefficient_1_comes_back(dtype):
    base, (model,) = siblings(0, 1, dtype)
    base["t1"][:3] = torch.tensor([1.0, -0.0, 2.0**-14], dtype=dtype)  # exponents far apart, where base + delta rounds
    model["t1"][:3] = torch.tensor([2.0**-14, 0.0, 1.0], dtype=dtype)
    for method in (TaskArithmetic(1.0), Linear(), TIES(1.0), DARE(1.0)):
        for name, tensor in method(base, [model]).items():
            assert torch.equal(tensor, model[name]), (method, name)


def test_signs_of_zero_survive_a_coefficient_of_1():
    merged = TaskArithmetic(1.0)(one(0.0, -0.0), [one(-0.0, 0.0)])["w"]
    assert torch.signbit(merged).tolist() == [True, False]


@pytest.mark.parametrize("method", [TaskArithmetic(0.0), TIES(scale=0.0), DARE(scale=0.0)])
def test_coefficients_of_0_return_the_base(method):
    base, models = siblings(1, 3, torch.bfloat16)
    assert all(torch.equal(tensor, base[name]) for name, tensor in method(base, models).items())


@pytest.mark.parametrize("method", BASED, ids=repr)
def test_models_that_equal_the_base_change_nothing_not_even_infinities(method):
    base = {"mask": torch.tensor([[0.0, -math.inf], [math.inf, math.nan]]), "w": torch.arange(6.0)}
    merged = method(base, [dict(base), dict(base)])
    assert torch.equal(merged["mask"].nan_to_num(7.0), base["mask"].nan_to_num(7.0))
    assert torch.equal(merged["w"], base["w"])


def test_numbers_that_are_not_finite_are_named_and_stay_where_they_are():
    with pytest.warns(NonFiniteMergeWarning, match="1 merged numbers of w"):
        merged = TaskArithmetic()(one(1.0, 2.0), [one(math.nan, 3.0)])["w"]
    assert merged[1] == pytest.approx(2.3) and torch.isnan(merged[0])
    with pytest.warns(NonFiniteMergeWarning, match="overflow"):
        TaskArithmetic(2.0)(one(0.0, dtype=torch.float16), [one(60000.0, dtype=torch.float16)])


@pytest.mark.parametrize("method", [Linear(), TaskArithmetic(), TIES(), TIES(trim="tensor"), ModelStock()], ids=repr)
def test_the_order_of_the_models_does_not_matter(method):
    base, models = siblings(2, 3)
    one_way, other = method(base, models), method(base, models[::-1])
    assert all(torch.allclose(one_way[name], other[name], rtol=1e-6, atol=0) for name in base)


def test_ties_with_agreeing_signs_at_density_1_is_the_mean():
    base, _ = siblings(3, 0)
    models = [{k: v + (i + 1) * (v.abs() + 0.1) for k, v in base.items()} for i in range(3)]
    mean = Linear()(None, models)
    assert all(torch.allclose(t, mean[k], rtol=1e-6) for k, t in TIES(1.0)(base, models).items())


@pytest.mark.parametrize("based", [True, False])
def test_slerp_ends_are_the_ends(based):
    _, (first, second) = siblings(4, 2, torch.bfloat16)
    ends = [first, second]
    for t, end in ((0.0, first), (1.0, second)):
        merged = SLERP(t)(first if based else None, ends[1:] if based else ends)
        assert all(torch.equal(tensor, end[name]) for name, tensor in merged.items())


@pytest.mark.parametrize("pair", [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0], [-1.0, -2.0]), ([0.0, 0.0], [1.0, 1.0])])
def test_slerp_is_straight_where_there_is_no_arc(pair):
    merged = SLERP(0.25)(None, [one(*pair[0]), one(*pair[1])])["w"]
    assert merged.tolist() == pytest.approx([0.75 * a + 0.25 * b for a, b in zip(*pair, strict=True)])


def close(merged, expected, dtype):
    got = dense.vector(merged)
    rounding = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-10, torch.float32: 2.0**-23}[dtype]
    np.testing.assert_allclose(got, expected, rtol=rounding, atol=rounding * 1e-2)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    rows=st.integers(0, 9),
    density=st.sampled_from([0.01, 0.2, 0.29, 0.5, 1.0]),
    zeros=st.booleans(),
)
def test_against_dense_float64(seed, models, dtype, rows, density, zeros):
    base, moved = siblings(seed, models, dtype, ((rows, 6), (13,)))
    if zeros:
        for model in moved:
            model["t1"][:7] = base["t1"][:7]
    origin, vectors = dense.vector(base), [dense.vector(model) for model in moved]
    scale = [0.3 + 0.1 * i for i in range(models)]
    close(Linear(scale)(None, moved), dense.linear(origin, vectors, scale), dtype)
    close(TaskArithmetic(scale)(base, moved), dense.task_arithmetic(origin, vectors, scale), dtype)
    close(TIES(density)(base, moved), dense.ties(origin, vectors, density), dtype)
    tail = {"t1": base["t1"]}, [{"t1": model["t1"]} for model in moved]
    origin, vectors = dense.vector(tail[0]), [dense.vector(model) for model in tail[1]]
    close(TIES(density, trim="tensor")(*tail), dense.ties(origin, vectors, density), dtype)
    if models > 1 and not zeros:
        close(ModelStock()(*tail), dense.model_stock(origin, vectors), dtype)


ODD = 0.3137  # with 0.3, one result in fifty lies exactly between two numbers of the format


def test_half_precision_is_computed_in_float32_and_rounded_once():
    base, models = siblings(5, 3, torch.bfloat16, ((300, 100),))
    exact = dense.task_arithmetic(dense.vector(base), [dense.vector(m) for m in models], [ODD] * 3)
    rounded = torch.from_numpy(exact).float().bfloat16()
    wrong = (TaskArithmetic(ODD)(base, models)["t0"].view(-1) != rounded).float().mean()
    assert wrong < 0.002  # arithmetic in bfloat16 gets 9 % of them wrong


def test_float32_is_rounded_from_float64():
    base, models = siblings(6, 3, torch.float32, ((300, 100),))
    exact = dense.task_arithmetic(dense.vector(base), [dense.vector(m) for m in models], [ODD] * 3)
    assert torch.equal(TaskArithmetic(ODD)(base, models)["t0"].view(-1), torch.from_numpy(exact).float())


@pytest.mark.parametrize("many", [False, True], ids=["whole", "sampled"])
@pytest.mark.parametrize("values", ["normal", "few", "zeros", "sorted"])
def test_thresholds_are_exact(many, values, monkeypatch):
    if many:
        monkeypatch.setattr(selection, "SAMPLE", (256, 256))
    size = 300_000
    generator = np.random.default_rng(0)
    numbers = generator.standard_normal(size).astype(np.float32)
    if values == "few":
        numbers = np.round(numbers)
    elif values == "zeros":
        numbers[generator.random(size) < 0.9] = 0.0
    elif values == "sorted":
        numbers = np.sort(numbers)  # no run of neighbours is like another
    state = {"w": torch.from_numpy(numbers)}
    merged = TIES(0.2)({"w": torch.zeros(size)}, [state])["w"].numpy()
    np.testing.assert_array_equal(merged, dense.trimmed(numbers, 0.2))


def test_ranks_span_the_model_or_the_tensor():
    base = {"a": torch.zeros(4), "b": torch.zeros(4)}
    model = {"a": torch.tensor([5.0, 6.0, 7.0, 8.0]), "b": torch.tensor([1.0, 2.0, 3.0, 4.0])}
    whole, each = TIES(0.5)(base, [model]), TIES(0.5, trim="tensor")(base, [model])
    assert whole["a"].tolist() == [5.0, 6.0, 7.0, 8.0] and not whole["b"].any()
    assert each["a"].tolist() == [0.0, 0.0, 7.0, 8.0] and each["b"].tolist() == [0.0, 0.0, 3.0, 4.0]


def test_a_tensor_too_small_for_its_density_keeps_its_largest_entry():
    merged = TIES(0.2, trim="tensor")(one(0.0, 0.0, 0.0), [one(1.0, -3.0, 2.0)])["w"]
    assert merged.tolist() == [0.0, -3.0, 0.0]


def test_opposite_entries_leave_the_base_or_count_as_positive():
    base, models = one(1.0), [one(3.0), one(-1.0)]
    assert TIES(1.0)(base, models)["w"].item() == 1.0
    assert TIES(1.0, draw="positive")(base, models)["w"].item() == 3.0


def test_dare_divides_by_the_density_whatever_survives():
    base, model = {"w": torch.zeros(200_000)}, {"w": torch.ones(200_000)}
    merged = DARE(0.2)(base, [model])["w"]
    kept = merged[merged != 0]
    assert kept.unique().tolist() == pytest.approx([5.0], rel=1e-4)
    assert abs(len(kept) / 200_000 - 0.2) < 0.005  # 5.6 standard deviations
    small = DARE(0.2, seed=3)({"w": torch.zeros(16)}, [{"w": torch.rand(16) + 1}])["w"]
    assert (small == 0).any() and small.max() < 2 * 5.001  # restoring a norm would enlarge a lone survivor far more


def test_masks_depend_on_seed_model_and_name_alone():
    base = {"a": torch.zeros(70_000), "b": torch.zeros(70_000)}
    model = {name: torch.ones(70_000) for name in base}
    both = DARE(0.3)(base, [model])
    assert torch.equal(DARE(0.3)({"b": base["b"]}, [{"b": model["b"]}])["b"], both["b"])
    assert not torch.equal(both["a"], both["b"])
    assert not torch.equal(DARE(0.3, seed=1)(base, [model])["a"], both["a"])
    pair = DARE(0.3, weights=[1.0, 10.0])(base, [model, model])["a"]
    assert len(pair.unique()) == 4  # the second model's mask is another


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TIES()(None, [BASE]), "needs the base"),
        (lambda: SLERP()(None, THREE), "exactly 2"),
        (lambda: ModelStock()(BASE, [BASE]), "at least 2"),
        (lambda: Linear([1.0])(None, THREE), "1 numbers for 3"),
        (lambda: Linear([1.0, -1.0])(None, THREE[:2]), "sum to 0"),
        (lambda: Linear()(None, []), "no model"),
        (lambda: Linear()(None, BASE), "list of models"),
        (lambda: TIES(0.0), "above 0"),
        (lambda: DARE(1.5), "at most 1"),
        (lambda: SLERP(math.nan), "t is a number"),
    ],
)
def test_wrong_use_is_explained(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()


def test_modules_and_inputs_are_left_as_they_were():
    base, model = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = model.weight.clone()
    merged = TaskArithmetic(0.5)(base, [model])
    base.load_state_dict(merged)
    assert torch.equal(model.weight, before) and not merged["weight"].requires_grad


def test_the_result_may_be_stored_wider():
    base, models = siblings(7, 2, torch.bfloat16)
    merged = TaskArithmetic()(base, models, rules=Rules(dtype=torch.float32))
    assert all(tensor.dtype == torch.float32 for tensor in merged.values())


def test_every_model_may_have_its_own_density():
    base, models = (
        {"w": torch.zeros(4)},
        [{"w": torch.tensor([4.0, 3.0, 2.0, 1.0])}, {"w": torch.tensor([1.0, 2.0, 3.0, 4.0])}],
    )
    merged = TIES(density=[0.25, 0.5], trim="tensor", merge="sum")(base, models)
    assert merged["w"].tolist() == [4.0, 0.0, 3.0, 4.0]
    kept = DARE(density=[1.0, 0.01], merge="ties_sum")(base, [models[0], {"w": torch.zeros(4)}])
    assert kept["w"].tolist() == [4.0, 3.0, 2.0, 1.0]
    with pytest.raises(ConfigurationError, match="density has 1 numbers for 2 models"):
        TIES(density=[0.5])(base, models)
