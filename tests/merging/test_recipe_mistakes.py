"""Recipes as people get them wrong, and unusual ones that are right."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Literal, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.merging import recipe_zoo as zoo
from tests.merging.made import one

from accord.errors import ConfigurationError, DataError
from accord.merging import (
    KarcherMean,
    ModelStock,
    MultiSLERP,
    NonFiniteMergeWarning,
    begin_job,
    merge_recipe,
    open_checkpoint,
    plan_merge,
    verify,
)
from accord.merging.merging_method import MergingMethod
from accord.merging.recipe.kinds import check_kinds
from accord.registry import registered

MODELS = "models: [{model: alpha, parameters: {weight: 1}}, {model: beta, parameters: {weight: 3}}]\n"
LINEAR = f"{MODELS}merge_method: linear\n"
OWN = "models: [alpha, beta]\nbase_model: base\nmerge_method: accord.TIES\n"
THREE = "models: [{model: alpha}, {model: beta}, {model: gamma}]\nparameters: {weight: 1}\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("mistakes")
    zoo.write_zoo(root)
    return root


@pytest.fixture(autouse=True)
def here(root, monkeypatch):
    monkeypatch.chdir(root)


def plan(text, out="never"):
    job = begin_job(text, out)
    return job.plan(job.recipes[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "models: [{model: alpha, parameters: {weight: 1, weight: 5}}]\nmerge_method: linear\n",
            "'weight' stands twice",
        ),
        (f"{LINEAR}merge_method: ties\n", "'merge_method' stands twice"),
        (f"{MODELS}merge_method: null\n", "the recipe has no merge_method"),
        (
            LINEAR.replace("weight: 3", "weight: .nan"),
            r"weight, a parameter of models\[1\], is a finite number; got nan",
        ),
        (f"{LINEAR}parameters: {{normalize: [{{filter: mlp, value: [0.0, -.inf]}}]}}\n", "normalize.* got -inf"),
        (LINEAR.replace("weight: 3", "weight: 'nan'"), "weight: 'nan' is no number"),
        (LINEAR.replace("weight: 3", f"weight: 1{'0' * 400}"), "is no number"),
        (LINEAR.replace("weight: 3", "weight: -1"), r"\[1.0, -1.0\] sum to 0, .* normalize: false"),
        (f"{MODELS.replace('3', '-1')}merge_method: multislerp\n", "sum to 0"),
        (
            "models: [{model: alpha, parameters: {weight: 0.5}}, {model: beta, parameters: {weight: -0.7}}, "
            "{model: gamma, parameters: {weight: 0.2}}]\nmerge_method: linear\n",  # of which 3e-17 are left
            r"\[0.5, -0.7, 0.2\] sum to 0, .* normalize: false",
        ),
        (
            f"{OWN}parameters: {{density: much}}\n",
            r"density of TIES is a list \(each a number\) or a number; got 'much'",
        ),
        (
            f"{OWN}parameters: {{weights: [1, [2]]}}\n",
            r"weights of TIES is .* or a number or nothing; got \[1, \[2\]\]",
        ),
        (f"{OWN}parameters: {{scale: true}}\n", "scale of TIES is a number; got True"),
        (f"{OWN}parameters: {{rescale: 1}}\n", "rescale of TIES is true or false; got 1"),
        (f"{OWN}parameters: {{trim: tensors}}\n", "TIES has no trim 'tensors'. Did you mean 'tensor'"),
        (f"{OWN.replace('TIES', 'WUDI')}parameters: {{steps: 1.5}}\n", "steps of WUDI is a whole number; got 1.5"),
        (f"{LINEAR}layers: false\n", "layers is the name of a stack of layers, such as model.layers; got False"),
        (LINEAR.replace("weight: 3", "weight: []"), "weight: an empty list says nothing; give a number"),
        (
            "models: [alpha, {model: beta, parameters: {t: 0.5}}]\nmerge_method: slerp\nbase_model: alpha\n",
            "no t for .*: give one under parameters of a slice, .* or the whole recipe; at a model it decides nothing$",
        ),
        (
            f"{MODELS}merge_method: breadcrumbs\nbase_model: base\nparameters: {{gamma: 1, density: 0.6}}\n",
            "gamma is the share of outliers, at least 0 and below 0.5; got 1.0",  # and not what the density leaves
        ),
        ("models: [base]\nmerge_method: task_arithmetic\nbase_model: base\n", "at least 1 checkpoint, besides a base"),
        (f"{LINEAR}tokenizer: {{pad_to_multiple_of: 0}}\n", "is a whole number of 1 or more; got 0"),
        (f"{LINEAR}dtype: bfloat17\nout_dtype: float32\n", "^dtype is one of .* got 'bfloat17'"),
        (f"{LINEAR}dtype: float32\nout_dtype: float8\n", "out_dtype is one of .* got 'float8'"),
        (
            "models: [{model: alpha, parameters: {weight: 1}}]\nmerge_method: nuslerp\n",
            "nuslerp takes exactly 2 models",
        ),
        (f"{THREE}merge_method: nuslerp\nbase_model: base\n", "exactly 2 models, besides a base; it was given 3"),
        ("models: [alpha, beta]\nmerge_method: passthrough\n", "passthrough takes exactly one model"),
        (f"{MODELS}merge_method: TIES\n", "unknown merge_method 'TIES'. Did you mean 'ties'"),
        (f"{MODELS}merge_method: ada_merging\n", "takes more than checkpoints; call accord.merging.AdaMerging"),
        (f"{MODELS}merge_method: accord.AdaMerging\n", "takes more than checkpoints"),
        (f"name: ../../elsewhere\n{LINEAR}", "no path out of its folder"),
        (f"name: /elsewhere\n{LINEAR}", "no path out of its folder"),
        (
            f"{LINEAR}tokenizer: {{source: union, tokens: {{cat: {{force: 'false'}}}}}}\n",
            "force is true or false; got 'false'",
        ),
        (f"{LINEAR}chat_template: 5\n", "chat_template is auto, .* got 5"),
        (f"{LINEAR}select_topk: 0.15\n", "no key 'select_topk'. It is a parameter .* under `parameters`"),
        ("models: [{model: alpha, weight: 1}]\nmerge_method: linear\n", "'weight'. It is a parameter"),
        (f"{LINEAR}pad_to_multiple_of: 8\n", "It stands under `tokenizer`"),
        (f"{LINEAR}dype: float32\n", "no key 'dype'. Did you mean 'dtype'"),
        (f"{LINEAR}parameters: {{smooth: false}}\n", "linear has no parameter 'smooth'"),
        ("base_model: alpha\ngate_mode: hidden\nexperts: [{source_model: beta}]\n", "mixture of experts"),
    ],
)
def test_mistakes_are_explained(text, message):
    with pytest.raises(ConfigurationError, match=message):
        plan(text)


def test_the_same_recipe_written_in_other_ways():
    expected = open_checkpoint(merge_recipe(LINEAR, "plain"))
    anchors = (
        "models:\n  - &first\n    model: ./alpha/\n    parameters: &heavy {weight: 1}\n"
        "  - <<: *first\n    model: ../{here}/beta\n    parameters: {{<<: *heavy, weight: 3e0}}\nmerge_method: linear\n"
    ).replace("{here}", Path.cwd().name)
    written = {
        "crlf": LINEAR.replace("\n", "\r\n"),
        "mark": f"\ufeff{LINEAR}",
        "anchors": anchors.replace("{{", "{").replace("}}", "}"),
    }
    for name, text in written.items():
        Path(f"{name}.yaml").write_text(text, "utf-8", newline="")
        result = open_checkpoint(merge_recipe(f"{name}.yaml", name))
        assert all(torch.equal(result[key], expected[key]) for key in expected)


def test_values_as_published_recipes_have_them():
    text = (
        "merge_method: task_arithmetic\nbase_model: base\ntokenizer: {}\nparameters: {lambda: 1, normalize: 1.0}\n"
        "modules:\n  default:\n    slices:\n    - sources:\n"
        "      - {layer_range: [0, 4], model: alpha, parameters: {weight: [0.5], embed_slerp: true}}\n"
        "      - {layer_range: [0, 4], model: base}\n"
    )
    job = begin_job(text, "published")
    assert any("embed_slerp decides nothing" in note for note in job.plan(job.recipes[0]).notes)
    result, alpha = open_checkpoint(merge_recipe(text, "published")), open_checkpoint("alpha")
    assert all(torch.allclose(result[name], alpha[name], atol=1e-6) for name in alpha)


def test_the_base_is_known_by_other_ways_to_write_its_path():
    text = "models: [{model: ./base/}, {model: alpha}]\nmerge_method: task_arithmetic\nbase_model: base\n"
    result = open_checkpoint(merge_recipe(f"{text}parameters: {{weight: 0.5, normalize: true}}\n", "dotted"))
    alpha = open_checkpoint("alpha")
    assert all(np.allclose(result[name], alpha[name], atol=1e-6) for name in alpha)


def test_a_merge_that_cannot_be_leaves_its_folder_free():
    wrong = "models: [alpha, beta]\nmerge_method: accord.Linear\nparameters: {weights: [1, 2, 3]}\n"
    with pytest.raises(ConfigurationError, match="3 numbers for 2 models"):
        merge_recipe(wrong, "again")
    merge_recipe(wrong.replace(", 3]", "]"), "again")


@pytest.mark.parametrize(
    ("options", "message"), [({"threads": 0}, "threads is 1 or more; got 0"), ({"shard_bytes": 0}, "shard_bytes is 1")]
)
def test_nothing_is_done_by_no_thread_and_into_no_file(options, message):
    with pytest.raises(ConfigurationError, match=message):
        merge_recipe(LINEAR, "never", **options)
    with pytest.raises(ConfigurationError, match="is a file, and the result of a merge is a folder"):
        plan(LINEAR, "alpha/config.json")


def test_a_checkpoint_without_tensors_is_named(tmp_path):
    save_file({}, tmp_path / "model.safetensors")
    for method in ("linear", "ties\nbase_model: base"):
        with pytest.raises(DataError, match="holds no tensors"):
            plan(f"models: [{{model: {tmp_path}, parameters: {{weight: 1}}}}]\nmerge_method: {method}\n")


def test_keys_that_decide_nothing_are_named():
    notes = "\n".join(plan(f"{LINEAR}rank: 3\nlayers: model.layers\n").notes)
    assert "rank decides nothing" in notes and "layers decides nothing" in notes


WEIGHT = "models: [{{model: alpha, parameters: {{weight: {}}}}}, {{model: beta, parameters: {{weight: 1}}}}]\n"


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("[{filter: atention, value: 2}, {filter: mlp, value: 3}, {value: 1}]", "the filter 'atention' is part of no"),
        ("[{filter: '.*mlp.*', value: 2}, {filter: '*', value: 1}]", "the filter '.*mlp.*' is part of no"),
        ("[{filter: model.layers.4., value: 2}, {value: 1}]", "the filter 'model.layers.4.' is part of no"),
        (
            "[{value: 1}, {filter: mlp, value: 2}]",
            "{'filter': 'mlp', 'value': 2} comes after what holds for all tensors",
        ),
        ("[{filter: mlp, value: [1, 2]}, {filter: layers.3.self, value: 4}, {value: 1}]", ""),
    ],
)
def test_filters_that_decide_nothing_are_named(weight, said):
    notes = [note for note in plan(f"{WEIGHT.format(weight)}merge_method: linear\n").notes if "weight" in note]
    assert len(notes) == bool(said) and all(note.startswith(f"weight: {said}") for note in notes)


def test_gradients_without_layers_are_named(tmp_path):
    save_file({"body.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    flat = WEIGHT.replace("alpha", str(tmp_path)).replace("beta", str(tmp_path))
    for weight, told in (("[1, 2]", True), ("[{filter: body, value: [1, 2]}]", True), ("[1]", False), ("2", False)):
        notes = plan(f"{flat.format(weight)}merge_method: linear\n").notes
        assert any("tell of no layers, so that a list's first entry" in note for note in notes) is told
    assert not any("no layers" in note for note in plan(f"{WEIGHT.format('[1, 2]')}merge_method: linear\n").notes)


@pytest.mark.parametrize("cls", [c for c in registered("merging").values() if issubclass(c, MergingMethod)])
def test_the_defaults_of_all_methods_are_of_their_kinds(cls):
    parameters = inspect.signature(cls).parameters
    check_kinds(cls, {name: p.default for name, p in parameters.items() if p.default is not p.empty})


@pytest.mark.parametrize("cls", [c for c in registered("merging").values() if issubclass(c, MergingMethod)])
def test_texts_that_no_option_has_are_refused_and_not_read_past(cls):
    chosen = [name for name, hint in get_type_hints(cls.__init__).items() if get_origin(hint) is Literal]
    for name in chosen:
        with pytest.raises(ConfigurationError, match="'nonsense'"):
            cls(**{name: "nonsense"})


def test_a_seed_that_no_recipe_could_have_is_refused():
    with pytest.raises(ConfigurationError, match="seed is a whole number of 0 or more; got -1"):
        begin_job(LINEAR, "never", seed=-1)


def test_a_weight_beyond_all_measure_is_refused_before_it_makes_infinities():
    text = WEIGHT.format("1e308").replace("weight: 1}", "weight: 1e308}")
    with pytest.raises(ConfigurationError, match=r"scale is a number between -1e\+38 and 1e\+38; got 1e\+308"):
        merge_recipe(f"{text}merge_method: task_arithmetic\nbase_model: base\n", "never")
    assert not any(Path("never").iterdir())


def test_the_home_of_results_is_that_of_models(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert merge_recipe(LINEAR, "~/one") == tmp_path / "one" and verify("~/one") == 23
    assert plan_merge(KarcherMean(), None, ["alpha", "beta"], "~/two").out == tmp_path / "two"


def test_nothing_of_the_variance_is_the_base():
    text = "models: [alpha, beta]\nmerge_method: sce\nbase_model: base\nparameters: {select_topk: 0}\n"
    result, base = open_checkpoint(merge_recipe(text, "none")), open_checkpoint("base")
    assert all(torch.equal(result[name], base[name]) for name in base)


@pytest.mark.parametrize("method", [ModelStock(), ModelStock("row"), MultiSLERP(), KarcherMean()], ids=repr)
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_are_none_are_seen_where_they_are(method, number):
    base, models = one(0.0, 0.0, 0.0), [one(1.0, 2.0, 3.0), one(1.0, number, 4.0)]
    with pytest.warns(NonFiniteMergeWarning, match="1 merged numbers of w"):
        merged = method(None if method.base == "unused" else base, models)["w"]
    assert torch.isfinite(merged).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("~nobody-of-this-name/model", "there is no checkpoint ~nobody-of-this-name/model"),
        ("x" * 300, "could not look at x+: File name too long"),
        (f"alpha+{'y' * 300}", "could not look at .*: File name too long"),
    ],
)
def test_paths_that_no_system_has_are_named(model, message):
    with pytest.raises(DataError, match=message):
        plan(LINEAR.replace("beta", model))


def test_a_result_goes_where_a_folder_can_be():
    with pytest.raises(ConfigurationError, match=r"x+ cannot be the folder of the result: File name too long"):
        begin_job(LINEAR, "x" * 300)
