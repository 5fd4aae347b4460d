"""Vocabularies: read without tokenizers, brought to one row by row, refused where it is unclear what a row is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from accord.errors import ConfigurationError, DataError
from accord.merging import begin_job, merge_recipe, open_checkpoint
from accord.merging.vocabulary import read_words

TABLE, HEAD = "embed_tokens.weight", "lm_head.weight"


def model(root, name, words, *, rows=None, kind="fast", tensors=(TABLE, HEAD), start=0.0):
    """A model whose rows are their own numbers, from ``start`` on, so that it shows where each row came from."""
    folder = root / name
    folder.mkdir()
    rows = len(words) if rows is None else rows
    table = start + torch.arange(float(rows)).unsqueeze(1).repeat(1, 3)
    save_file(
        {tensor: table.clone() + place * 1000 for place, tensor in enumerate(tensors)}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps({"vocab_size": rows, "hidden_size": 3}))
    ids = {word: row for row, word in enumerate(words)}
    if kind == "fast":
        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": ids}, "added_tokens": []}))
    elif kind == "unigram":
        pieces = [[word, -1.0] for word in words]
        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": pieces}}))
    elif kind == "json":
        (folder / "vocab.json").write_text(json.dumps(ids))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    elif kind == "text":
        (folder / "vocab.txt").write_text("\n".join(words))
    return {"model": str(folder), "parameters": {"weight": 1.0}}


def merge(root, models, tokenizer, **more):
    """Return the first column of the merged table, which for one model shows the order of its rows."""
    recipe = {"models": models, "merge_method": "linear", "tokenizer": tokenizer, **more}
    out = merge_recipe(recipe, root / "out")
    return open_checkpoint(out)[TABLE][:, 0].tolist()


@pytest.mark.parametrize("kind", ["fast", "unigram", "json", "text"])
def test_tokens_are_read_from_every_kind_of_file(tmp_path, kind):
    model(tmp_path, "a", ["x", "y", "z"], kind=kind)
    words = read_words(tmp_path / "a")
    assert words is not None and words.ids == {"x": 0, "y": 1, "z": 2} and words.fast == (kind in ("fast", "unigram"))


def test_rows_follow_the_chosen_model(tmp_path):
    one = model(tmp_path, "one", ["a", "b", "c"])
    two = model(tmp_path, "two", ["c", "a", "d"], start=100.0)
    # The result has the words of two: c is row 2 of one, a row 0, and d, which one lacks, is two's own.
    got = merge(tmp_path, [one, two], {"source": two["model"]})
    assert got == [(2 + 100) / 2, (0 + 101) / 2, 102.0]
    tokenizer = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    assert tokenizer["model"]["vocab"] == {"c": 0, "a": 1, "d": 2}
    head = open_checkpoint(tmp_path / "out")[HEAD][:, 0].tolist()
    assert head == [value + 1000 for value in got]


def test_padding_is_dropped_and_made(tmp_path):
    padded = model(tmp_path, "padded", ["a", "b", "c"], rows=8)
    plain = model(tmp_path, "plain", ["a", "b", "c"], start=10.0)
    assert merge(tmp_path, [padded, plain], {"source": "base", "pad_to_multiple_of": 4}) == [5.0, 6.0, 7.0, 6.0]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == 4


def test_what_several_know_comes_from_the_base_or_their_mean(tmp_path):
    models = [model(tmp_path, n, w, start=s) for n, w, s in (("p", ["a", "b"], 0.0), ("q", ["a", "b"], 10.0))]
    third = model(tmp_path, "r", ["a", "c"], start=100.0)
    got = merge(tmp_path, [*models, third], {"source": "union"})
    # r lacks b, which p has as 1 and q as 11: their mean stands for r's.
    assert got == pytest.approx([(0 + 10 + 100) / 3, (1 + 11 + 6) / 3, 101.0])
    other = {"models": [*models, third], "merge_method": "linear", "tokenizer_source": "union"}
    based = merge_recipe({**other, "base_model": models[0]["model"]}, tmp_path / "based")
    assert open_checkpoint(based)[TABLE][1, 0].item() == pytest.approx((1 + 11 + 1) / 3)


def test_slow_tokenizers_get_new_tokens_as_added_ones(tmp_path):
    one = model(tmp_path, "one", ["a", "b"], kind="json")
    two = model(tmp_path, "two", ["a", "z"], kind="json", start=10.0)
    assert len(merge(tmp_path, [one, two], {"source": "union"})) == 3
    assert json.loads((tmp_path / "out" / "added_tokens.json").read_text()) == {"z": 2}
    assert read_words(tmp_path / "out").ids == {"a": 0, "b": 1, "z": 2}


def test_a_token_may_be_made_of_a_row(tmp_path):
    one = model(tmp_path, "one", ["a", "b"])
    tokens = {"new": {"source": {"kind": "model_token", "model": one["model"], "token_id": 1}}}
    assert merge(tmp_path, [one], {"source": "base", "tokens": tokens}) == [0.0, 1.0, 1.0]
    tokens["new"]["source"]["token_id"] = 7
    with pytest.raises(ConfigurationError, match=r"row 7 of .*no such one"):
        merge(tmp_path, [one], {"source": "base", "tokens": tokens})


def test_a_model_without_tokenizer_has_the_bases_if_it_has_as_many_rows(tmp_path):
    one = model(tmp_path, "one", ["a", "b"])
    two = model(tmp_path, "two", ["a", "b"], kind="none", start=10.0)
    assert merge(tmp_path, [one, two], {"source": "base"}) == [5.0, 6.0]
    assert "taken for those of" in (tmp_path / "out" / "README.md").read_text()
    three = model(tmp_path, "three", ["a", "b", "c"], kind="none")
    with pytest.raises(DataError, match="which row is which token is unclear"):
        merge(tmp_path, [one, three], {"source": "base"})


def test_what_is_unclear_is_refused_by_name(tmp_path):
    odd = model(tmp_path, "odd", ["a", "b"], tensors=(TABLE, "adapter.scores"))
    with pytest.raises(DataError, match=r"adapter\.scores has 2 rows, as many as there are tokens"):
        merge(tmp_path, [odd], {"source": "base"})
    assert merge(tmp_path, [odd], {"source": "base", "tensors": ["adapter.scores"]}) == [0.0, 1.0]
    nameless = model(tmp_path, "nameless", ["a"], tensors=("weights",))
    with pytest.raises(DataError, match="no tensor that is known as a table"):
        merge(tmp_path, [nameless], {"source": "base"})
    (tmp_path / "nameless" / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 0}}}')
    with pytest.raises(DataError, match="two tokens have row 0"):
        read_words(tmp_path / "nameless")
    (tmp_path / "nameless" / "tokenizer.json").unlink()
    (tmp_path / "nameless" / "tokenizer.model").write_bytes(b"\n")
    with pytest.raises(DataError, match=r"tokenizer\.model only"):
        read_words(tmp_path / "nameless")


@pytest.mark.parametrize("row", ["first", None, float("inf")])
def test_rows_that_are_no_numbers_are_named(tmp_path, row):
    model(tmp_path, "fast", ["a"])
    model(tmp_path, "slow", ["a"], kind="json")
    model(tmp_path, "added", ["a"], kind="text")
    (tmp_path / "fast" / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": row}}}))
    (tmp_path / "slow" / "vocab.json").write_text(json.dumps({"a": row}))
    (tmp_path / "added" / "added_tokens.json").write_text(json.dumps({"b": row}))
    for name, file in (
        ("fast", "tokenizer.json is no tokenizer"),
        ("slow", "vocab.json"),
        ("added", "added_tokens.json"),
    ):
        with pytest.raises(DataError, match=file):
            read_words(tmp_path / name)


@pytest.mark.parametrize("config", [False, {"added_tokens_decoder": "x"}, {"added_tokens_decoder": [1]}])
def test_settings_of_a_tokenizer_that_make_no_sense_are_left_as_they_are(tmp_path, config):
    one, two = model(tmp_path, "one", ["a", "b"]), model(tmp_path, "two", ["a", "c"])
    (tmp_path / "one" / "tokenizer_config.json").write_text(json.dumps(config))
    assert merge(tmp_path, [one, two], {"source": "union"}) == [0.0, 1.0, 1.0]
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text()) == config


def test_an_adapter_under_another_vocabulary(tmp_path):
    """Rows are picked out of a table that is itself worked out while it is read."""
    from tests.merging.recipe_zoo import write_adapter

    one = model(tmp_path, "one", ["a", "b", "c"])
    two = model(tmp_path, "two", ["c", "b", "a"], start=0.0)
    write_adapter(tmp_path / "x", {"lm_head": (torch.ones(1, 3), torch.tensor([[1.0], [2.0], [3.0]]))}, lora_alpha=1)
    adapted = {**one, "model": f"{one['model']}+{tmp_path / 'x'}"}
    merge(tmp_path, [adapted], {"source": two["model"]})
    head = open_checkpoint(tmp_path / "out")[HEAD]
    np.testing.assert_allclose(head[:, 0].tolist(), [1002 + 3, 1001 + 2, 1000 + 1])


def plan(models):
    job = begin_job({"models": models, "merge_method": "linear"}, "never")
    return job.plan(job.recipes[0])


def test_rows_of_different_tokens_are_not_merged_unasked(tmp_path):
    one = model(tmp_path, "one", ["a", "b", "c"])
    for name, kind in (("fast", "fast"), ("slow", "json"), ("text", "text")):
        other = model(tmp_path, name, ["b", "a", "c"], kind=kind, start=10.0)
        with pytest.raises(
            DataError, match=rf"the token 'b' has row 0 in .*{name} and row 1 in .*one: .*tokenizer_source"
        ):
            plan([one, other])
    assert merge(tmp_path, [one, other], {"source": "base"}) == [(0 + 11) / 2, (1 + 10) / 2, (2 + 12) / 2]


def test_rows_with_a_new_name_are_told(tmp_path):
    one = model(tmp_path, "one", ["a", "b", "<spare 1>", "<spare 2>"])
    two = model(tmp_path, "two", ["a", "b", "<user>", "<spare 2>"])
    three = model(tmp_path, "three", ["a", "b", "<user>", "<bot>"], kind="json")
    (note,) = [note for note in plan([one, two]).notes if "row" in note]
    assert note.startswith("row 2 of the vocabulary is '<spare 1>' in ") and "and '<user>' in" in note
    assert not any("row" in note for note in plan([one, one]).notes)
    assert [note[:5] for note in plan([one, two, three]).notes if "row" in note] == ["row 2", "row 3"]
    four = model(tmp_path, "four", ["A", "B", "C", "D"])
    assert "and 3 more rows have two names" in plan([one, two, four]).notes


def test_tokenizers_that_say_nothing_are_no_obstacle(tmp_path):
    one = model(tmp_path, "one", ["a", "b"])
    silent = [model(tmp_path, f"{name}", ["b", "a"], kind="none") for name in ("none", "pieces", "twice")]
    (tmp_path / "pieces" / "tokenizer.model").write_bytes(b"\n")
    (tmp_path / "twice" / "tokenizer.json").write_text('{"model": {"vocab": {"b": 0, "a": 0}}}')
    plan([one, *silent])
    tableless = model(tmp_path, "classifier", ["b", "a"], tensors=("net.weight",))
    plan([model(tmp_path, "regressor", ["a", "b"], tensors=("net.weight",)), tableless])
