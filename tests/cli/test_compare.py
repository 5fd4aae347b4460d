"""``accord compare``: the command from the table to the page, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Result

SMALL = ("--epochs", "1", "--batch-size", "64", "--trials", "1", "--seeds", "1", "--set", "evaluation.resamples=50")
Call = Callable[..., Result]


def test_from_a_table_to_the_page_and_again(inside: Call, table: Path, tmp_path: Path) -> None:
    words = ("compare", table, "--targets", "bought,price", "--methods", "cagrad", *SMALL)
    found = inside(*words, "--out", "c")
    assert "tuned plain weights" in found.out
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "compare.yaml",
        "compare.json",
        "compare.html",
        "records",
        "table.json",
    }
    facts = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert [e["name"] for e in facts["entrants"]] == ["single:bought", "single:price", "fixed", "cagrad"]
    page = (tmp_path / "c" / "compare.html").read_text()
    assert "cagrad" in page and "nan" not in page.split("</style>")[1].split("<script")[0]
    assert "not empty" in inside(*words, "--out", "c", code=4).err
    assert inside("report", "c", "--out", "c.html").out.strip() == "c.html"
    assert (tmp_path / "c.html").read_text() == page
    inside("compare", "c", "--resume")
    assert json.loads((tmp_path / "c" / "compare.json").read_text())["effort"]["made_now"] == 0


def test_a_dry_run_prints_what_it_would_do(inside: Call, table: Path) -> None:
    words = ("compare", table, "--targets", "bought,price", "--methods", "mmoe+cagrad", "--dry-run")
    found = inside(*words, "--set", "compare.rate_factor=3")
    assert "4 entrants: single:bought, single:price, fixed, mmoe+cagrad" in found.out
    assert "rate_factor: 3.0" in found.out


def test_a_table_that_happens_to_lie_beside_the_specification_is_not_read(
    inside: Call, table: Path, tmp_path: Path
) -> None:
    inside("fit", table, "--targets", "bought,price", "--dry-run", "--write-spec", "compare.yaml")
    (tmp_path / "train.parquet").write_bytes(b"another table")
    inside("compare", "compare.yaml", "--methods", "cagrad", "--dry-run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--methods", "cagrat"), "Did you mean 'cagrad'"),
        ((), "name the methods"),
        (("--methods", "cagrad", "--trials", "0"), "trials must be at least 1"),
        (("--methods", "cagrad", "--jobs", "0"), "jobs must be at least 1"),
        (("--methods", "cagrad", "--set", "compare.trails=1"), "Did you mean 'trials'"),
        (("--methods", "cagrad", "--device", "gpu"), "device 'gpu' cannot be used"),
        (("--methods", "cagrad", "--set", "balancing.engine=lop"), "Did you mean 'loop'"),
        (("--methods", "mmoe", "--set", "compare.search={mmoe: {experts: [0]}}"), "experts"),
        (("--methods", "mmoe", "--set", "model.tower=[-3]"), "tower"),
        (("--methods", "cagrad", "--storage", "redis://x"), "can execute code"),
    ],
)
def test_mistakes_are_explained(inside: Call, table: Path, words: tuple[str, ...], message: str) -> None:
    found = inside("compare", table, "--targets", "bought,price", *words, "--out", "c", code=2)
    assert message in found.err
    assert not Path("c").exists()
