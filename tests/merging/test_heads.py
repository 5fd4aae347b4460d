"""Models whose head is their embedding, merged with others that have one of their own."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tests.merging import recipe_zoo as zoo

from accord.errors import DataError
from accord.merging import begin_job, merge_recipe, open_checkpoint

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def root(tmp_path, monkeypatch):
    states = zoo.write_zoo(tmp_path)
    for name, of, config in (
        ("tied", "gamma", {"tie_word_embeddings": True}),
        ("inner", "base", {"text_config": {"tie_word_embeddings": True, "vocab_size": 12}}),
        ("headless", "base", {}),
    ):
        zoo.write(tmp_path / name, states[of], zoo.WORDS)
        save_file({k: v for k, v in states[of].items() if k != HEAD}, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text(json.dumps({"num_hidden_layers": 4, "vocab_size": 12, **config}))
    monkeypatch.chdir(tmp_path)
    return states


def recipe(*models, **more):
    return {"models": [{"model": m, "parameters": {"weight": 1}} for m in models], "merge_method": "linear", **more}


def config(folder):
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("models", [("alpha", "tied"), ("tied", "alpha")])
def test_the_embedding_is_merged_as_a_head(root, models):
    job = begin_job(recipe(*models), "out")
    assert any("the head of tied is its embedding" in note for note in job.plan(job.recipes[0]).notes)
    out = merge_recipe(recipe(*models), "out")
    result = open_checkpoint(out)
    assert torch.allclose(result[HEAD], (root["alpha"][HEAD] + root["gamma"][TABLE]) / 2)
    assert torch.allclose(result[TABLE], (root["alpha"][TABLE] + root["gamma"][TABLE]) / 2)
    assert config(out).get("tie_word_embeddings", False) is False


def test_a_base_gets_one_too_and_says_so_wherever_its_configuration_does(root):
    out = merge_recipe(recipe("alpha", merge_method="task_arithmetic", base_model="inner"), "out")
    assert torch.allclose(open_checkpoint(out)[HEAD], root["alpha"][HEAD], atol=1e-6)
    assert config(out)["text_config"]["tie_word_embeddings"] is False


def test_an_adapter_on_the_embedding_is_in_the_head_as_well(root, tmp_path):
    module = TABLE.removesuffix(".weight")
    a, b = torch.ones(2, len(zoo.WORDS)), torch.full((zoo.HIDDEN, 2), 0.5)
    folder = tmp_path / "words"
    folder.mkdir()
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": [module]}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    stem = f"base_model.model.{module}.lora_embedding"
    save_file({f"{stem}_A": a, f"{stem}_B": b}, folder / "adapter_model.safetensors")
    result = open_checkpoint(merge_recipe(recipe("tied+words", "alpha"), "out"))
    expected = (root["gamma"][TABLE] + 1.0 + root["alpha"][HEAD]) / 2
    assert torch.allclose(result[HEAD], expected, atol=1e-6)


def test_rows_follow_the_vocabulary_in_both(root):
    result = open_checkpoint(merge_recipe(recipe("tied", "delta", tokenizer_source="union"), "out"))
    dog = zoo.WORDS.index("dog")
    assert torch.allclose(result[HEAD][dog], (root["gamma"][TABLE][dog] + root["delta"][HEAD][1]) / 2)


def test_slices_take_the_head_of_the_last(root):
    slices = [
        {"sources": [{"model": "alpha", "layer_range": [0, 2]}]},
        {"sources": [{"model": "tied", "layer_range": [2, 4]}]},
    ]
    result = open_checkpoint(merge_recipe({"slices": slices, "merge_method": "passthrough"}, "out"))
    assert torch.equal(result[HEAD], root["gamma"][TABLE]) and torch.equal(result[TABLE], root["alpha"][TABLE])


def test_nothing_is_made_up(root):
    out = merge_recipe(recipe("tied", "inner"), "both")
    assert HEAD not in open_checkpoint(out) and config(out)["tie_word_embeddings"] is True
    dropped = merge_recipe(recipe("tied", "alpha", extra="drop"), "dropped")
    assert HEAD not in open_checkpoint(dropped) and config(dropped)["tie_word_embeddings"] is True
    with pytest.raises(DataError, match="headless lacks lm_head"):
        merge_recipe(recipe("alpha", "headless"), "never")
