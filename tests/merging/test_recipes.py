"""Recipes as people publish them give what mergekit's documentation says, worked out here once more in float64."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.merging import dense
from tests.merging import recipe_zoo as zoo

from accord.errors import ConfigurationError, DataError
from accord.merging import (
    DARE,
    DELLA,
    SCE,
    ArceeFusion,
    Breadcrumbs,
    KarcherMean,
    MultiSLERP,
    NearSwap,
    begin_job,
    merge_recipe,
    open_checkpoint,
    read_recipes,
    verify,
)

LAYER = re.compile(r"layers\.(\d+)\.")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return zoo.with_recipes(tmp_path_factory.mktemp("zoo"))


def merged(root, recipe, out, **options):
    folder = merge_recipe(root / recipe if isinstance(recipe, str) else recipe, root / out, **options)
    assert verify(folder) > 0
    return {name: tensor.double().numpy() for name, tensor in open_checkpoint(folder).items()}


def along(values, name):
    """A gradient over the four layers; tensors outside of them have its first value."""
    found = LAYER.search(name)
    place = (int(found[1]) / (zoo.LAYERS - 1) if found else 0.0) * (len(values) - 1)
    return float(np.interp(place, range(len(values)), values))


def trim(delta, density):
    kept = max(1, int(density * delta.size))
    return np.where(np.abs(delta) >= np.sort(np.abs(delta).reshape(-1))[-kept], delta, 0.0)


def elect(deltas, weights, normalise, scale=1.0):
    total = sum(deltas)
    sign = np.where(total >= 0, 1.0, -1.0)
    agrees = [np.sign(delta) == sign for delta in deltas]
    mixed = sum(delta * agree for delta, agree in zip(deltas, agrees, strict=True))
    divisor = sum(weight * agree for weight, agree in zip(weights, agrees, strict=True))
    return scale * (mixed / np.where(divisor == 0, 1.0, divisor) if normalise else mixed)


def linear(name, s):
    weights = [1.0, along([0.0, 0.5, 1.0], name), 0.25 if "self_attn" in name else 0.5]
    return sum(w * s[m][name] for w, m in zip(weights, ("alpha", "beta", "gamma"), strict=True)) / sum(weights)


def slerp(name, s):
    t = 0.5
    if "self_attn" in name:
        t = along([0, 0.5, 0.3, 0.7, 1], name)
    elif "mlp" in name:
        t = along([1, 0.5, 0.7, 0.3, 0], name)
    return dense.slerp(s["alpha"][name], s["beta"][name], t)


def ties(name, s):
    densities = (along([1, 0.7, 0.1], name), 0.5, 0.33)
    weights = (1.0, along([0, 0.3, 0.7, 1], name), 0.5 if "mlp" in name else 0.0)
    deltas = [s[m][name] - s["base"][name] for m in ("alpha", "beta", "gamma")]
    kept = [w * trim(d, density) for w, d, density in zip(weights, deltas, densities, strict=True)]
    return s["base"][name] + elect(kept, weights, True)


def task_arithmetic(name, s):
    base = s["base"][name]
    return base + 1.1 * (0.8 * (s["alpha"][name] - base) - 0.4 * (s["beta"][name] - base))


def model_stock(name, s):
    base, models = s["base"][name], [s[m][name] for m in ("alpha", "beta", "gamma")]
    deltas = [m - base for m in models]
    pairs = [(0, 1), (0, 2), (1, 2)]
    cosines = [(deltas[i] * deltas[j]).sum() / np.linalg.norm(deltas[i]) / np.linalg.norm(deltas[j]) for i, j in pairs]
    cosine = max(float(np.mean(cosines)), 0.0)  # where mergekit would lead away from the models
    t = 3 * cosine / (1 + 2 * cosine)
    return t * sum(models) / 3 + (1 - t) * base


def breadcrumbs_ties(name, s):
    kept = []
    for model, weight, density, gamma in (("alpha", 0.6, 0.5, 0.1), ("beta", 0.9, 0.75, 0.2)):
        delta = s[model][name] - s["base"][name]
        count, top = int(density * delta.size), int(gamma * delta.size)
        bottom = max(0, delta.size - count - top)
        order = np.argsort(np.abs(delta).reshape(-1), kind="stable")
        mask = np.zeros(delta.size)
        mask[order[bottom : bottom + count]] = 1
        kept.append(weight * delta * mask.reshape(delta.shape))
    return s["base"][name] + elect(kept, (0.6, 0.9), False, 0.5)


def nuslerp(name, s):
    base = s["base"][name]
    return base + dense.slerp(s["alpha"][name] - base, s["beta"][name] - base, 0.75)


def adapters(name, s):
    base, changed = s["base"][name], np.zeros_like(s["base"][name])
    for module, (a, b) in zoo.factors(5).items():
        if name == f"{module}.weight":
            changed = 2.0 * b.double().numpy() @ a.double().numpy()
    return base + 0.5 * changed + (s["alpha"][name] - base)


def steps(name, s):
    base = s["base"][name]
    first = ((s["alpha"][name] + s["beta"][name]) / 2).astype(np.float32)
    return base + 0.5 * (first - base) + 0.5 * (s["gamma"][name] - base)


def own(name, s):
    base = s["base"][name]
    kept = [w * trim(s[m][name] - base, 0.4) for m, w in (("alpha", 2.0), ("beta", 1.0))]
    return base + elect(kept, (2.0, 1.0), True) * (name != "lm_head.weight")


EXPECTED = (
    linear,
    slerp,
    ties,
    task_arithmetic,
    model_stock,
    breadcrumbs_ties,
    nuslerp,
    adapters,
    steps,
    own,
)
HALVES = {"linear": (torch.float16, 2.0**-11), "slerp": (torch.bfloat16, 2.0**-8)}


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda f: f.__name__)
def test_what_the_documentation_says(root, expected):
    name = expected.__name__
    folder, states = root
    result = merged(folder, f"{name}.yaml", name)
    dtype, precision = HALVES.get(name, (torch.float32, 2.0**-23))
    assert {t.dtype for t in open_checkpoint(folder / name).values()} == {dtype}
    assert json.loads((folder / name / "config.json").read_text())["torch_dtype"] == str(dtype).removeprefix("torch.")
    assert set(result) == set(states["base"])
    for tensor, values in result.items():
        np.testing.assert_allclose(values, expected(tensor, states), rtol=precision, atol=precision / 100)


# Methods of mergekit's that no file of this folder asks for: its parameters, and the same in Accord's own words.
IN_OWN_WORDS = {
    "dare_linear": (
        "{normalize: true, lambda: 0.5}",
        DARE([0.5, 0.25], weights=[0.5 * 2 / 5, 0.5 * 3 / 5]),
    ),
    "della": (
        "{epsilon: 0.2, lambda: 0.5}",
        DELLA([0.5, 0.25], 0.2, weights=[2.0, 3.0], scale=0.5, merge="ties"),
    ),
    "breadcrumbs": (
        "{gamma: 0.1}",
        Breadcrumbs([0.5, 0.25], 0.1, weights=[2.0, 3.0], scale=1.0, merge="linear"),
    ),
    "sce": ("{select_topk: 0.3}", SCE(0.3)),
    "multislerp": ("{eps: 1.0e-6}", MultiSLERP([2.0, 3.0], tangent="projection")),
    "karcher": ("{max_iter: 50, tol: 1.0e-9}", KarcherMean()),
    "arcee_fusion": ("{}", ArceeFusion()),
    "nearswap": ("{t: 0.05}", NearSwap(0.05)),
}


@pytest.mark.parametrize("name", IN_OWN_WORDS)
def test_other_methods_of_mergekit_mean_these_of_accord(root, monkeypatch, name):
    folder, _ = root
    monkeypatch.chdir(folder)
    parameters, method = IN_OWN_WORDS[name]
    with_density = name in ("dare_linear", "della", "breadcrumbs")
    entries = []
    for model, weight, density in (("alpha", 2, 0.5), ("beta", 3, 0.25))[: method.most]:
        own = [f"weight: {weight}"] * (method.most is None) + [f"density: {density}"] * with_density
        entries.append(f"{{model: {model}, parameters: {{{', '.join(own)}}}}}")
    base = "" if name == "karcher" else "base_model: base\n"
    text = f"models: [{', '.join(entries)}]\nmerge_method: {name}\n{base}parameters: {parameters}\n"
    result = merged(folder, yaml.safe_load(text), f"own-{name}")
    models = [open_checkpoint(folder / model) for model in ("alpha", "beta")[: method.most]]
    expected = method(open_checkpoint(folder / "base") if base else None, models)
    assert all(np.array_equal(values, expected[tensor].double().numpy()) for tensor, values in result.items())


def stacked(name, layers):
    """The model and name of a tensor of a stack; what precedes layers is the first's, what follows them the last's."""
    found = LAYER.search(name)
    if found is None:
        return (layers[0] if "embed" in name else layers[-1])[0], name
    model, layer = layers[int(found[1])]
    return model, name.replace(f"layers.{found[1]}.", f"layers.{layer}.")


def test_layers_of_two_models_are_stacked(root):
    folder, states = root
    result = merged(folder, "passthrough.yaml", "passthrough")
    layers = [("alpha", 0), ("alpha", 1), ("alpha", 2), ("beta", 1), ("beta", 2), ("beta", 3)]
    assert len(result) == 6 * 5 + 3
    for name, values in result.items():
        model, own = stacked(name, layers)
        silent = model == "beta" and ("o_proj" in name or "down_proj" in name)
        np.testing.assert_array_equal(values, states[model][own] * (not silent))
    config = json.loads((folder / "passthrough" / "config.json").read_text())
    assert config["num_hidden_layers"] == 6
    assert config["layer_types"] == ["alpha0", "alpha1", "alpha2", "beta1", "beta2", "beta3"]


def test_slices_may_be_merges_of_different_layers(root):
    folder, states = root
    result = merged(folder, "slices.yaml", "slices")
    assert len(result) == 5 * 5 + 3
    first, second = ([("alpha", 0), ("alpha", 1)], [("beta", 2), ("beta", 3)])
    last = [("gamma", 1), ("gamma", 2), ("gamma", 3)]
    for name, values in result.items():
        one, own = stacked(name, first + last)
        expected = states[one][own]
        if one == "alpha":
            other, theirs = stacked(name, second + last)
            expected = 0.75 * expected + 0.25 * states[other][theirs]
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_drop_and_rescale_keeps_what_was_said_and_nothing_else(root):
    folder, states = root
    result = merged(folder, "dare_ties.yaml", "dare_ties")
    kept = []
    for name, values in result.items():
        base = states["base"][name]
        one, other = (
            w * (states[m][name] - base) / round(p * 2**16) * 2**16
            for m, w, p in (("alpha", 0.4, 0.53), ("beta", 0.3, 0.7))
        )
        both = np.where(np.sign(one) == np.sign(other), one + other, np.where(abs(one) > abs(other), one, other))
        change = values - base
        distances = [np.abs(change - choice) for choice in (0 * one, one, other, both)]
        assert np.min(distances, axis=0).max() < 1e-6
        kept.append((np.argmin(distances, axis=0) == 0).ravel())
    # Nobody is left with probability 0.47 * 0.3; 904 entries, five standard errors.
    assert abs(np.concatenate(kept).mean() - 0.47 * 0.3) < 0.06


def test_entries_are_dropped_in_the_mean_as_often_as_said(root):
    folder, states = root
    result = merged(folder, "della_linear.yaml", "della_linear")
    dropped = []
    for name, values in result.items():
        base, beta = states["base"][name], states["beta"][name] - states["base"][name]
        clear = np.abs(beta) > 1e-3  # of the rounding of the result
        change = (values - base - 0.5 * (states["alpha"][name] - base))[clear] / (0.5 * beta[clear])
        gone = np.abs(change) < 1e-3
        # Survivors are divided by their probability of 0.4 to 0.8.
        assert np.all((change[~gone] > 1 / 0.801) & (change[~gone] < 1 / 0.399))
        dropped.append(gone.ravel())
    assert abs(np.concatenate(dropped).mean() - 0.4) < 0.08


def test_a_union_of_vocabularies(root):
    folder, states = root
    result = merged(folder, "union.yaml", "union")
    words = [*zoo.WORDS, "bye", "sun", "<|new|>"]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        alpha, delta = states["alpha"][name], states["delta"][name]
        rows = {}
        for word in words:
            own = [t[known.index(word)] for t, known in ((alpha, zoo.WORDS), (delta, zoo.OTHERS)) if word in known]
            rows[word] = np.mean(own, axis=0) if own else np.zeros(zoo.HIDDEN)
        rows["<|end|>"] = delta[zoo.OTHERS.index("bye")]
        expected = np.stack([*rows.values()])
        np.testing.assert_allclose(result[name][:15], expected, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(result[name][15:], expected.mean(axis=0)[None], rtol=1e-5, atol=1e-6)
    assert result["lm_head.weight"].shape[0] == 16
    config = json.loads((folder / "union" / "config.json").read_text())
    assert config["vocab_size"] == 16
    tokenizer = json.loads((folder / "union" / "tokenizer.json").read_text())
    ids = tokenizer["model"]["vocab"] | {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
    assert sorted(ids, key=ids.__getitem__) == words
    told = json.loads((folder / "union" / "tokenizer_config.json").read_text())
    assert told["added_tokens_decoder"]["13"]["content"] == "sun" and "im_start" in told["chat_template"]


def test_a_result_says_what_it_is_and_makes_itself_again(root):
    folder, _ = root
    merged(folder, "ties.yaml", "once")
    assert not (folder / "once" / "modeling.py").exists()
    card = (folder / "once" / "README.md").read_text()
    assert "`ties`" in card and "`gamma`: licence not stated" in card and "int8_mask decides nothing" in card
    stored = folder / "once" / "accord-recipe.yaml"
    assert yaml.safe_load(stored.read_text())["parameters"]["lambda"] == 1.0
    merge_recipe(stored, folder / "again")
    digests = [json.loads((folder / n / "accord-merge.json").read_text())["tensors"] for n in ("once", "again")]
    assert digests[0] == digests[1]


def test_steps_are_kept_and_not_taken_again(root):
    folder, _ = root
    job = begin_job(folder / "steps.yaml", folder / "twice")
    merge_recipe(folder / "steps.yaml", folder / "twice")
    assert job.finished(job.recipes[0]) and not job.finished(job.recipes[1])


MODELS = "models: [{model: alpha, parameters: {weight: 1}}, {model: beta, parameters: {weight: 1}}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{MODELS}\nmerge_method: tise", "'ties'"),
        (f"{MODELS}\nmerge_methods: ties", "merge_methods.*'merge_method'"),
        (f"{MODELS}\nmerge_method: ties", "needs the base"),
        (f"{MODELS}\nmerge_method: linear\nparameters: {{wieght: 1}}", "'weight'"),
        (f"{MODELS}\nmerge_method: linear\nslices: []\nmodels: []", "no YAML|one of models"),
        ("models: [{model: alpha}]\nmerge_method: linear", "alpha has no weight for .*: give one"),
        (
            "models: [{model: alpha, parameters: {weight: [{filter: mlp, value: 1}]}}]\nmerge_method: linear",
            "no filter .* fits",
        ),
        ("models: [{model: alpha, parameters: {weight: heavy}}]\nmerge_method: linear", "'heavy' is no number"),
        ("models: [{modle: alpha}]\nmerge_method: linear", "models\\[0\\] has no key 'modle'. Did you mean 'model'"),
        (
            "slices: [{sources: [{model: alpha, layer_range: [2, 9]}]}]\nmerge_method: passthrough",
            "alpha has 4 layers",
        ),
        (
            "slices: [{sources: [{model: alpha, layer_range: [0, 2]}, {model: beta, layer_range: [0, 3]}]}]\n"
            "merge_method: linear\nparameters: {weight: 1}",
            "as many",
        ),
        (
            "slices: [{sources: [{model: alpha, layer_range: [2, 0]}]}]\nmerge_method: passthrough",
            "last not included",
        ),
        (f"{MODELS}\nmerge_method: linear\ndtype: float8", "dtype is one of"),
        (f"{MODELS}\nmerge_method: linear\nchat_template: short", "chat_template is auto"),
        (f"{MODELS}\nmerge_method: slerp\nbase_model: base\nparameters: {{t: 1}}", "SLERP merges exactly 2"),
        (f"{MODELS}\nmerge_method: linear\ntokenizer: {{sauce: union}}", "sauce"),
        (
            "models: [alpha, beta]\nmerge_method: accord.TIES\nbase_model: base\n"
            "parameters: {density: [{filter: mlp, value: 0.1}, {value: 0.2}]}",
            "same options everywhere",
        ),
        ("- 1", "a recipe is a mapping"),
        ("a: [", "no YAML"),
    ],
)
def test_recipes_that_cannot_be_are_explained(root, monkeypatch, text, message):
    folder, _ = root
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigurationError, match=message):
        job = begin_job(f"{text}\n", "never")
        job.plan(job.recipes[0])
    assert not Path("never").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{model: nobody/nothing, parameters: {weight: 1}}]", "hf download nobody/nothing"),
        ("models: [{model: absent, parameters: {weight: 1}}]", "neither here nor beside"),
        (f"{MODELS.replace('beta', 'delta')}", "12 in alpha, 7 in delta rows: .*tokenizer_source"),
        (f"{MODELS.replace('beta', 'lora')}\nbase_model: base", "lora is an adapter: write BASE"),
        (f"{MODELS}\ntokenizer: {{tensors: [nowhere]}}", "no tensor nowhere"),
    ],
)
def test_models_that_do_not_fit_are_named(root, monkeypatch, text, message):
    folder, _ = root
    monkeypatch.chdir(folder)
    with pytest.raises((DataError, ConfigurationError), match=message):
        job = begin_job(f"{text}\nmerge_method: linear\n", "never")
        job.plan(job.recipes[0])


def test_several_recipes_need_names():
    one = f"{MODELS}\nmerge_method: linear\n"
    with pytest.raises(ConfigurationError, match="need a name"):
        read_recipes(f"{one}---\n{one}")
    with pytest.raises(ConfigurationError, match="not used"):
        read_recipes(f"name: x\n{one}---\n{one}")
    circle = "name: {}\nmodels: [{{model: {}}}]\nmerge_method: linear\n"
    with pytest.raises(ConfigurationError, match="circle"):
        read_recipes(f"{circle.format('a', 'b')}---\n{circle.format('b', 'a')}---\nmodels: [a]\nmerge_method: linear\n")


def test_a_downloaded_repository_is_found_in_the_cache(root, monkeypatch, tmp_path):
    folder, states = root
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / "abc"
    shutil.copytree(folder / "alpha", snapshot)
    (tmp_path / "hub" / "models--some--model" / "refs").mkdir()
    (tmp_path / "hub" / "models--some--model" / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    recipe = {"models": [{"model": "some/model", "parameters": {"weight": 1}}], "merge_method": "linear"}
    result = open_checkpoint(merge_recipe(recipe, tmp_path / "out"))
    assert all(np.array_equal(t.numpy(), states["alpha"][n]) for n, t in result.items())
