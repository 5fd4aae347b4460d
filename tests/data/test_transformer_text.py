"""A tiny transformer, made on the spot, as a frozen text encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from accord.data import FeatureEncoder, TransformerText, infer_schema, open_table
from accord.errors import ConfigurationError

transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "thing", "very", "and"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(path, safe_serialization=True)
    transformers.BertTokenizerFast(vocab_file=str(path / "vocab.txt")).save_pretrained(path)
    return path


def test_rows_are_the_normalised_means_over_the_tokens_of_each_text_alone(folder: Path) -> None:
    texts = ["good thing", "a very very bad thing and a very good thing", "", "bad"]
    found = TransformerText(folder, batch_size=3)(texts)
    model = transformers.BertModel.from_pretrained(folder).eval()
    tokeniser = transformers.BertTokenizerFast.from_pretrained(folder)
    for text, row in zip(texts, found, strict=True):
        with torch.no_grad():
            states = model(**tokeniser(text, return_tensors="pt")).last_hidden_state[0]
        mean = states.mean(0)
        torch.testing.assert_close(row, mean / mean.norm(), rtol=1e-5, atol=1e-6)
    assert found.dtype == torch.float32 and not found.requires_grad


def test_the_same_texts_give_the_same_bits_and_long_ones_are_cut(folder: Path) -> None:
    encoder = TransformerText(folder, max_tokens=6)
    texts = ["good " * 20, "good good good good", "good good"]
    first = encoder(texts)
    assert torch.equal(first, TransformerText(folder, max_tokens=6)(texts))
    torch.testing.assert_close(first[0], first[1])  # both are [CLS] good good good good [SEP]
    assert not torch.allclose(first[1], first[2])
    assert encoder([]).shape == (0, 16)


def test_columns_are_read_and_come_back_from_json(folder: Path) -> None:
    rows = {"t": [f"{'good' if i % 2 else 'very bad'} thing" for i in range(20)]}
    table = open_table(rows)
    encoder = FeatureEncoder.fit(table, infer_schema(table, overrides={"t": "text"}), text=TransformerText(folder))
    assert encoder.layout.numeric == tuple(f"t.{i}" for i in range(16))
    again = FeatureEncoder.from_state(encoder.to_state(), text=TransformerText(folder))
    assert torch.equal(encoder.transform(table).numeric, again.transform(table).numeric)


def test_a_folder_with_damaged_files_is_explained(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ConfigurationError, match="no text encoder can be read from"):
        TransformerText(tmp_path)


def test_code_in_the_folder_never_runs(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    own = config.replace('"model_type": "bert"', '"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}')
    (tmp_path / "config.json").write_text(own, encoding="utf-8")
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        TransformerText(tmp_path)
    assert not (tmp_path / "exploded").exists()
