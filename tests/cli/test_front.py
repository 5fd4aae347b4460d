"""``accord front``: the command from the table to the page, what it refuses, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Result

SMALL = ("--epochs", "1", "--batch-size", "64", "--set", "evaluation.resamples=20", "--points", "3")
Call = Callable[..., Result]


def test_from_a_table_to_the_page_and_again(inside: Call, table: Path, tmp_path: Path) -> None:
    words = ("front", table, "--targets", "bought,price", *SMALL)
    found = inside(*words, "--set", "front.options.penalty=0.5", "--out", "f")
    assert found.out.startswith("  preference") and "single:price" in found.out
    assert "front.html" in found.out and "front, seed 0" in found.err
    assert {path.name for path in (tmp_path / "f").iterdir()} == {
        "features.json",
        "front.html",
        "front.json",
        "front.safetensors",
        "front.yaml",
        "history.parquet",
        "rows.safetensors",
    }
    facts = json.loads((tmp_path / "f" / "front.json").read_text())
    assert [point["preference"] for point in facts["points"]] == [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    assert "penalty: 0.5" in (tmp_path / "f" / "front.yaml").read_text()
    assert "not empty" in inside(*words, "--out", "f", code=4).err
    assert "nothing to resume" in inside("front", "f", "--resume", code=4).err
    page = (tmp_path / "f" / "front.html").read_text()
    (tmp_path / "f" / "front.html").unlink()
    assert inside("report", "f").out.strip() == str(Path("f") / "front.html")
    assert (tmp_path / "f" / "front.html").read_text() == page
    # The written specification is complete: it gives the same front.
    inside("front", "f/front.yaml", "--out", "g")
    again = json.loads((tmp_path / "g" / "front.json").read_text())
    assert again["points"] == facts["points"]


def test_a_dry_run_prints_the_specification_and_trains_nothing(inside: Call, table: Path, tmp_path: Path) -> None:
    found = inside(
        "front", table, "--targets", "bought,price", "--method", "PaLoRA", "--dry-run", "--write-spec", "s.yaml"
    )
    assert "method: pa_lo_ra" in found.out and "rank: 1" in found.out and "learning_rate: 0.001" in found.out
    assert "method: pa_lo_ra" in (tmp_path / "s.yaml").read_text()
    other = inside("front", "s.yaml", "--method", "epo", "--dry-run")
    assert "method: epo" in other.out and "rank" not in other.out  # another method has other options
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "cosmoss"), "Did you mean 'cosmos'"),
        (("--set", "front.options.penallty=1"), "Did you mean 'penalty'"),
        (("--set", "front.options.penalty=-1"), "penalty must be"),
        (("--set", "front.pionts=4"), "Did you mean 'points'"),
        (("--points", "1"), "at least 2"),
        (("--set", "training.epoch=3"), "Did you mean 'training.epochs'"),
    ],
)
def test_mistakes_are_explained(inside: Call, table: Path, words: tuple[str, ...], message: str) -> None:
    found = inside("front", table, "--targets", "bought,price", *words, "--out", "f", code=2)
    assert message in found.err
    assert not Path("f").exists()


def test_one_target_is_no_front(inside: Call, table: Path) -> None:
    assert "at least 2 tasks" in inside("front", table, "--targets", "bought", "--out", "f", code=2).err
    assert "nothing to resume" in inside("front", "f", "--resume", code=2).err
