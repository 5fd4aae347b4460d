"""Free text read by a frozen encoder, from the specification to a prediction."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.tables import make_table, only

import accord
from accord.errors import ConfigurationError, DataError, MissingExtraError
from accord.training import Spec

FAST = {"epochs": 8, "batch_size": 64, "resamples": 20, "patience": 0, "baselines": False}
GOOD, BAD = ("fine", "lovely", "great", "splendid"), ("poor", "awful", "dull", "broken")


def letters(texts: list[str]) -> torch.Tensor:
    """Counts of letters: frozen, and enough to tell the words above apart."""
    return torch.tensor([[float(text.count(chr(97 + i))) for i in range(26)] for text in texts])


class Lengths:
    """An encoder that is an object with a state."""

    def __call__(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(text), len(text.split())] for text in texts])


def reviews(rows: int = 400) -> dict[str, list]:
    """Reviews whose words say whether the thing was liked; nothing else in the table does."""
    rng = np.random.default_rng(0)
    liked = rng.integers(0, 2, rows)
    texts = [
        f"it was a {' '.join(rng.choice(GOOD if good else BAD, 3))} thing number {i}" for i, good in enumerate(liked)
    ]
    return {"review": texts, "x": rng.normal(size=rows).tolist(), "liked": liked.tolist()}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> accord.Model:
    out = tmp_path_factory.mktemp("text") / "run"
    return accord.fit(reviews(), targets=["liked"], columns={"review": "text"}, text=letters, out=out, **FAST)


def test_a_function_reads_text_end_to_end(fitted, tmp_path: Path) -> None:
    assert fitted.metrics["test"]["joint"]["liked"]["auc"][0] > 0.95
    assert "review.0" in fitted.trained.features.layout.numeric
    again = accord.load(fitted.save(tmp_path / "copy"), text=letters)
    for name, column in fitted.predict(reviews(50)).items():
        assert np.array_equal(column, again.predict(reviews(50))[name]), name


def test_a_run_read_by_a_function_names_it_when_it_is_missing(fitted) -> None:
    name = f"{letters.__module__}.letters"
    assert Spec.from_yaml(fitted.directory / "spec.yaml").data.text == f"<callable {name}>"
    with pytest.raises(ConfigurationError, match=re.escape(name)):
        accord.load(fitted.directory)


def test_another_encoder_than_in_training_is_noticed(fitted) -> None:
    with pytest.raises(DataError, match="gives 2 numbers for column 'review', but gave 26"):
        accord.load(fitted.directory, text=Lengths()).predict(reviews(5))


def test_an_object_that_can_be_called_is_recorded_by_its_class(tmp_path: Path) -> None:
    options = {**FAST, "epochs": 1, "columns": {"review": "text"}}
    accord.fit(reviews(100), targets=["liked"], text=Lengths(), out=tmp_path / "r", **options)
    assert Spec.from_yaml(tmp_path / "r" / "spec.yaml").data.text == f"<callable {Lengths.__module__}.Lengths>"


def test_the_encoder_is_not_asked_for_where_there_is_no_free_text(tmp_path: Path) -> None:
    table = only(make_table(200), "bought")
    accord.fit(table, targets=["bought"], text=letters, out=tmp_path / "r", **FAST)
    assert accord.load(tmp_path / "r").predict(table).keys()
    accord.fit(table, targets=["bought"], text="no/such/folder", out=tmp_path / "s", **FAST)


def test_folders_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    def fit(folder: Path) -> None:
        accord.fit(reviews(60), targets=["liked"], columns={"review": "text"}, text=folder, **FAST)

    with pytest.raises(ConfigurationError, match=r"no text encoder at .*missing"):
        fit(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="holds no weights"):
        fit(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigurationError, match=r"pytorch_model\.bin only, a format that may execute code"):
        fit(tmp_path)


def test_the_package_that_is_missing_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"needs transformers.*accord\[text\]"):
        accord.fit(reviews(60), targets=["liked"], columns={"review": "text"}, text=tmp_path, **FAST)
