"""LoRA adapters: changes are products, on a base, of several adapters, and at a smaller rank."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.merging.recipe_zoo import factors, write_adapter

from accord.errors import ConfigurationError, DataError, RunError
from accord.merging import (
    SLERP,
    TIES,
    Linear,
    NonFiniteMergeWarning,
    PersonalisedSoup,
    RewardedSoup,
    TaskArithmetic,
    adapt,
    merge_adapters,
    merge_recipe,
    open_adapter,
    verify,
)
from accord.merging.lazy import LazyTensor

Q, DOWN = "model.layers.1.self_attn.q_proj", "model.layers.2.mlp.down_proj"


def base(dtype=torch.float32):
    generator = torch.Generator().manual_seed(9)
    return {
        f"{Q}.weight": torch.randn(8, 8, generator=generator).to(dtype),
        f"{DOWN}.weight": torch.randn(8, 16, generator=generator).to(dtype),
        "norm": torch.ones(8, dtype=dtype),
    }


def read(tensor):
    """All of a lazy tensor, in stretches that are no whole rows."""
    assert isinstance(tensor, LazyTensor)
    whole = torch.cat([tensor[start : start + 7] for start in range(0, tensor.numel(), 7)])
    return whole.reshape(tensor.shape).double().numpy()


def product(a, b, scale):
    return scale * b.double().numpy() @ a.double().numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_adds_its_product(tmp_path, dtype):
    write_adapter(tmp_path / "x", factors(1))
    adapted = adapt(base(dtype), open_adapter(tmp_path / "x"))
    for module, (a, b) in factors(1).items():
        name = f"{module}.weight"
        expected = base(dtype)[name].double().numpy() + product(a, b, 2.0)
        # Not rounded to bfloat16 before it is merged.
        np.testing.assert_allclose(read(adapted[name]), expected, rtol=1e-5, atol=1e-5)
        assert adapted[name].dtype == dtype
    assert torch.equal(adapted["norm"], base(dtype)["norm"]) and set(adapted) == set(base())


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 6}, 3.0),
        ({"lora_alpha": 6, "use_rslora": True}, 6 / np.sqrt(2)),
        ({"alpha_pattern": {"q_proj": 8}}, 4.0),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 8, "q_proj": 2}}, 4.0),
        ({"alpha_pattern": {"v_proj": 8}}, 2.0),
        ({"r": 4, "lora_alpha": 4, "rank_pattern": {".*": 2}}, 2.0),
    ],
    ids=str,
)
def test_scales_as_peft_has_them(tmp_path, config, scale):
    write_adapter(tmp_path / "x", factors(1), **config)
    assert open_adapter(tmp_path / "x").modules[Q].scale == pytest.approx(scale)


def test_weights_that_are_kept_transposed(tmp_path):
    a, b = factors(1)[DOWN]
    write_adapter(tmp_path / "x", {DOWN: (a, b)}, fan_in_fan_out=True)
    turned = {f"{DOWN}.weight": base()[f"{DOWN}.weight"].T.contiguous()}
    adapted = read(adapt(turned, open_adapter(tmp_path / "x"))[f"{DOWN}.weight"])
    np.testing.assert_allclose(adapted.T, base()[f"{DOWN}.weight"].double().numpy() + product(a, b, 2.0), rtol=1e-6)


def test_dora_gives_rows_their_length(tmp_path):
    a, b = factors(1)[DOWN]
    write_adapter(tmp_path / "x", {DOWN: (a, b)}, use_dora=True)
    lengths = torch.arange(1.0, 9.0)
    file = tmp_path / "x" / "adapter_model.safetensors"
    save_file({**load_file(file), f"base_model.model.{DOWN}.lora_magnitude_vector": lengths}, file)
    adapted = read(adapt(base(), open_adapter(tmp_path / "x"))[f"{DOWN}.weight"])
    plain = base()[f"{DOWN}.weight"].double().numpy() + product(a, b, 2.0)
    np.testing.assert_allclose(np.linalg.norm(adapted, axis=1), lengths.numpy(), rtol=1e-6)
    np.testing.assert_allclose(adapted / plain, (lengths.numpy() / np.linalg.norm(plain, axis=1))[:, None] + 0 * plain)
    with pytest.raises(DataError, match="DoRA"):
        merge_adapters([open_adapter(tmp_path / "x")], Linear())


def test_embeddings_convolutions_and_whole_tensors(tmp_path):
    generator = torch.Generator().manual_seed(0)
    table, kernel = torch.randn(11, 4, generator=generator), torch.randn(6, 3, 3, 3, generator=generator)
    a, b = torch.randn(2, 11, generator=generator), torch.randn(4, 2, generator=generator)
    c, d = torch.randn(2, 3, 3, 3, generator=generator), torch.randn(6, 2, 1, 1, generator=generator)
    write_adapter(tmp_path / "x", {"conv": (c, d)})
    file = tmp_path / "x" / "adapter_model.safetensors"
    whole = {"base_model.model.embed.lora_embedding_A": a, "base_model.model.embed.lora_embedding_B": b}
    save_file({**load_file(file), **whole, "base_model.model.head.modules_to_save.weight": torch.ones(2)}, file)
    adapted = adapt(
        {"embed.weight": table, "conv.weight": kernel, "head.weight": torch.zeros(2)}, open_adapter(file.parent)
    )
    np.testing.assert_allclose(
        read(adapted["embed.weight"]), table.numpy() + 2 * (b @ a).T.numpy(), rtol=1e-4, atol=1e-5
    )
    change = torch.nn.functional.conv2d(c.transpose(0, 1), d).transpose(0, 1)
    np.testing.assert_allclose(read(adapted["conv.weight"]), (kernel + 2 * change).numpy(), rtol=1e-4, atol=1e-5)
    assert adapted["head.weight"].tolist() == [1.0, 1.0]
    with pytest.raises(DataError, match=r"replaces head\.weight as a whole"):
        merge_adapters([open_adapter(file.parent)], Linear())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "of the kind IA3"),
        ({"init_lora_weights": "pissa_niter_4"}, "changed the base itself"),
        ({"trainable_token_indices": [1]}, "single trained tokens"),
        ({"r": 5}, "has rank 5, and holds factors"),
        ({"use_dora": True}, "no magnitudes"),
        ({"lora_alpha": "16"}, "lora_alpha or alpha_pattern has '16' for .*, which is no number"),
        ({"lora_alpha": math.nan}, "lora_alpha or alpha_pattern has nan for"),
        ({"alpha_pattern": {"q_proj": [None]}}, r"lora_alpha or alpha_pattern has \[None\] for .*q_proj, which"),
        ({"rank_pattern": {"(q_proj": 2}}, r"adapter_config\.json: rank_pattern maps patterns of names to numbers"),
        ({"rank_pattern": "all"}, "rank_pattern maps patterns of names to numbers"),
    ],
)
def test_what_is_no_product_is_refused_by_name(tmp_path, change, message):
    write_adapter(tmp_path / "x", factors(1), **change)
    with pytest.raises(DataError, match=message):
        open_adapter(tmp_path / "x")


def test_an_adapter_of_another_base_is_named(tmp_path):
    write_adapter(tmp_path / "x", factors(1))
    with pytest.raises(DataError, match="belongs to another base"):
        adapt({"norm": torch.ones(8)}, open_adapter(tmp_path / "x"))
    with pytest.raises(DataError, match="trained on another base"):
        adapt({**base(), f"{Q}.weight": torch.ones(9, 8)}, open_adapter(tmp_path / "x"))


def changes(merged):
    """The dense change of each module of a merged adapter, read back as PEFT would."""
    scale = merged.config["lora_alpha"] / merged.config["r"]
    stem = "base_model.model."
    return {
        module: product(
            merged.tensors[f"{stem}{module}.lora_A.weight"], merged.tensors[f"{stem}{module}.lora_B.weight"], scale
        )
        for module in (Q, DOWN)
    }


@pytest.fixture
def three(tmp_path):
    write_adapter(tmp_path / "x", factors(1))
    write_adapter(tmp_path / "y", factors(2, rank=3), use_rslora=True)
    write_adapter(tmp_path / "z", {Q: factors(3)[Q]}, lora_alpha=2)
    dense = {module: product(*factors(1)[module], 2.0) for module in (Q, DOWN)}
    second = {module: product(*factors(2, rank=3)[module], 6 / np.sqrt(3)) for module in (Q, DOWN)}
    third = {Q: product(*factors(3)[Q], 1.0), DOWN: 0.0}
    return [open_adapter(tmp_path / name) for name in "xyz"], [dense, second, third]


def test_a_sum_of_adapters_is_exact_and_no_average_of_factors(three):
    adapters, dense = three
    merged = merge_adapters(adapters, TaskArithmetic(scale=[0.5, -1.0, 2.0]))
    assert merged.rank == 7 and merged.error == 0.0 and merged.config["use_rslora"] is False
    for module, change in changes(merged).items():
        expected = 0.5 * dense[0][module] - dense[1][module] + 2.0 * dense[2][module]
        np.testing.assert_allclose(change, expected, rtol=1e-5, atol=1e-5)


def test_soups_of_adapters_mix_their_products(three):
    adapters, dense = three
    for soup, shares in ((RewardedSoup([0.2, 0.5, 0.3]), (0.2, 0.5, 0.3)), (PersonalisedSoup([2, 0]), (0.5, 0, 0.5))):
        merged = merge_adapters(adapters, soup)
        assert merged.error == 0.0
        for module, change in changes(merged).items():
            expected = sum(share * one[module] for share, one in zip(shares, dense, strict=True))
            np.testing.assert_allclose(change, expected, rtol=1e-5, atol=1e-5)


def test_a_smaller_rank_is_the_nearest_and_its_error_is_told(three):
    adapters, dense = three
    merged = merge_adapters(adapters, Linear(), rank=4)
    assert merged.rank == 4
    for module, change in changes(merged).items():
        expected = (dense[0][module] + dense[1][module] + dense[2][module]) / 3
        values = np.linalg.svd(expected, compute_uv=False)
        lost = np.linalg.norm(expected - change) / np.linalg.norm(expected)
        assert lost == pytest.approx(np.linalg.norm(values[4:]) / np.linalg.norm(values), abs=1e-5)
        assert merged.errors[module] == pytest.approx(lost, abs=1e-5)
    assert 0 < merged.error < 1


def test_numbers_that_are_none_are_told_or_refused_by_name(tmp_path):
    broken = factors(1)
    broken[Q][0][0, 0] = math.nan
    for name, content in (("x", broken), ("y", factors(2))):
        write_adapter(tmp_path / name, content)
    adapters = [open_adapter(tmp_path / name) for name in "xy"]
    with pytest.warns(NonFiniteMergeWarning, match=f"1 merged numbers of the factors of {Q}"):
        merge_adapters(adapters, Linear())
    for method in (Linear(), TIES(0.5)):
        with (
            pytest.raises(DataError, match=f"the merged change of {Q} has numbers that are not finite, .* of rank 2"),
            nullcontext() if isinstance(method, Linear) else pytest.warns(NonFiniteMergeWarning),
        ):
            merge_adapters(adapters, method, rank=2)
    huge = {module: (1e30 * a, 1e30 * b) for module, (a, b) in factors(3).items()}
    write_adapter(tmp_path / "z", huge)
    with pytest.warns(NonFiniteMergeWarning, match="they overflow what the result is stored as"):
        merge_adapters([open_adapter(tmp_path / "z")], Linear(), dtype=torch.float16)


def test_other_methods_see_the_products(three):
    adapters, dense = three
    with pytest.raises(ConfigurationError, match="give the rank"):
        merge_adapters(adapters, TIES())
    merged = merge_adapters(adapters[:2], TIES(density=1.0), rank=8)
    for module, change in changes(merged).items():
        one, other = dense[0][module], dense[1][module]
        expected = np.where(one * other > 0, (one + other) / 2, np.where(abs(one) > abs(other), one, other))
        np.testing.assert_allclose(change, expected, rtol=1e-4, atol=1e-4)
    assert merged.error < 1e-6  # rank 8 is all there is


def test_ranks_span_the_changes_of_all_modules(three):
    """One module's changes are a thousand times the other's, of which TIES over the model keeps nothing then."""
    adapters, _ = three
    loud = [replace(a, modules={**a.modules, Q: replace(a.modules[Q], scale=2000.0)}) for a in adapters[:2]]
    merged = merge_adapters(loud, TIES(density=0.2), rank=8)
    change = changes(merged)
    dense = [{m: f.scale * (f.b.double() @ f.a.double()).numpy() for m, f in a.modules.items()} for a in loud]
    expected = TIES(density=0.2)(
        {m: torch.zeros(change[m].shape, dtype=torch.float64) for m in change},
        [{m: torch.from_numpy(one[m]) for m in change} for one in dense],
    )
    assert not change[DOWN].any() and not expected[DOWN].any() and expected[Q].any()
    np.testing.assert_allclose(change[Q], expected[Q].numpy(), rtol=1e-4, atol=1e-1)
    alone = merge_adapters(loud, TIES(density=0.2, trim="tensor"), rank=8)
    assert changes(alone)[DOWN].any()


def test_an_arc_between_two_adapters(three):
    """SLERP looks at two checkpoints and no base, which two changes are."""
    adapters, dense = three
    merged = merge_adapters(adapters[:2], SLERP(0.5), rank=8)
    for module, change in changes(merged).items():
        one, other = dense[0][module].ravel(), dense[1][module].ravel()
        angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        expected = (one + other) * np.sin(angle / 2) / np.sin(angle)
        np.testing.assert_allclose(change.ravel(), expected, rtol=1e-4, atol=1e-4)


def test_a_merge_of_adapters_that_was_killed_goes_on_and_is_verified(tmp_path, monkeypatch):
    for name in "xy":
        write_adapter(tmp_path / name, factors(ord(name)))
    recipe = {"models": [str(tmp_path / n) for n in "xy"], "merge_method": "linear", "parameters": {"weight": 1}}

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("accord.merging.recipe.adapter_plan._card", cut)
        merge_recipe(recipe, tmp_path / "out")
    with pytest.raises(RunError, match="was not finished"):
        verify(tmp_path / "out")
    with pytest.raises(RunError, match="another, unfinished merge"):
        merge_recipe({**recipe, "rank": 2}, tmp_path / "out")
    assert verify(merge_recipe(recipe, tmp_path / "out")) == 4
    file = tmp_path / "out" / "adapter_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match="its bytes have changed"):
        verify(tmp_path / "out")


PEAK = """
import sys, threading
from accord.merging import begin_job, open_adapter
from accord.merging.adapters.looking import brought
from accord.merging.memory import anonymous
root = sys.argv[1]

def measured(method, parameters):
    models = [{"model": f"{root}/{name}", "parameters": parameters} for name in ("x", "y")]
    job = begin_job({"models": models, "merge_method": method, "rank": 40}, f"{root}/{method}")
    plan = job.plan(job.recipes[0])
    peak, done = [0], threading.Event()
    def watch():
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous())
    watcher = threading.Thread(target=watch); watcher.start()
    plan.run()
    brought(plan.adapters, open_adapter(plan.out), plan.names)
    done.set(); watcher.join()
    return plan.memory, peak[0]

print(*measured("linear", {"weight": 1.0}), *measured("ties", {"weight": 1.0, "density": 0.5}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells anonymous memory")
def test_the_peak_of_memory_is_the_one_foretold(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for name in "xy":
        module = {
            f"layers.{n}.q": tuple(torch.randn(s, generator=generator) for s in ((40, 900), (700, 40)))
            for n in range(3)
        }
        write_adapter(tmp_path / name, module)
    done = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path)], capture_output=True, text=True, check=True)
    linear, most_linear, ties, most_ties = map(int, done.stdout.split())
    assert 100 << 20 < most_linear <= linear < 1 << 30 and 100 << 20 < most_ties <= ties < 1 << 30


def test_adapters_too_large_for_the_memory_are_refused(tmp_path):
    for name in "xy":
        write_adapter(tmp_path / name, factors(1))
    recipe = {"models": [str(tmp_path / n) for n in "xy"], "merge_method": "linear", "parameters": {"weight": 1}}
    with pytest.raises(ConfigurationError, match=r"needs 48 MB of memory .* may take 10 MB; raise the limit"):
        merge_recipe(recipe, tmp_path / "out", memory=10 << 20)
    assert not (tmp_path / "out").exists()


def test_a_recipe_of_adapters_makes_an_adapter(tmp_path):
    write_adapter(tmp_path / "x", factors(1), base_model_name_or_path="b")
    write_adapter(tmp_path / "y", factors(2), base_model_name_or_path="b")
    models = [{"model": str(tmp_path / n), "parameters": {"weight": w}} for n, w in (("x", 0.25), ("y", 0.75))]
    out = merge_recipe({"models": models, "merge_method": "linear", "rank": 3}, tmp_path / "out")
    again = open_adapter(out)
    assert again.modules[Q].rank == 3 and again.config["base_model_name_or_path"] == "b"
    assert "rank leaves out" in (out / "README.md").read_text()
    whole = merge_adapters([open_adapter(tmp_path / n) for n in "xy"], Linear(weights=[0.25, 0.75]), rank=3)
    held = load_file(out / "adapter_model.safetensors")
    assert all(torch.equal(held[name], tensor) for name, tensor in whole.tensors.items())


def test_damaged_adapters_are_named(tmp_path):
    write_adapter(tmp_path / "x", factors(1))
    (tmp_path / "x" / "adapter_config.json").write_text("{")
    with pytest.raises(DataError, match=r"adapter_config\.json is damaged"):
        open_adapter(tmp_path / "x")
    (tmp_path / "x" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    save_file({"base_model.model.q.lora_A.weight": torch.ones(1, 2)}, tmp_path / "x" / "adapter_model.safetensors")
    with pytest.raises(DataError, match="only one of the two factors of q"):
        open_adapter(tmp_path / "x")
    with pytest.raises(DataError, match="is no adapter"):
        open_adapter(tmp_path)
