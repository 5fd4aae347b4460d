"""``accord group``: the command from the table to groups that ``accord fit`` takes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Result

from accord.cli.group_runs import parse_budget
from accord.errors import ConfigurationError

SMALL = ("--epochs", "1", "--batch-size", "64", "--set", "evaluation.resamples=50", "--threads", "1")
TARGETS = ("--targets", "bought,price,city")
Call = Callable[..., Result]


def test_from_a_table_to_groups_and_their_models(inside: Call, table: Path, tmp_path: Path) -> None:
    words = ("group", table, *TARGETS, *SMALL, "--budget", "2")
    found = inside(*words, "--out", "g")
    assert "add --measure" in found.out and "accord fit g/groups/group-1.yaml" in found.out
    assert {path.name for path in (tmp_path / "g").iterdir()} == {
        "group.yaml",
        "group.json",
        "group.html",
        "groups",
        "records",
        "table.json",
    }
    facts = json.loads((tmp_path / "g" / "group.json").read_text())
    assert sorted(name for group in facts["groups"] for name in group["serves"]) == ["bought", "city", "price"]
    assert "not empty" in inside(*words, "--out", "g", code=4).err
    measured = inside("group", "g", "--resume", "--measure", "--seeds", "1")
    assert "random groups" in measured.out and "points of delta-m" in measured.out
    page = (tmp_path / "g" / "group.html").read_text()
    assert inside("report", "g", "--out", "again.html").out.strip() == "again.html"
    assert (tmp_path / "again.html").read_text() == page
    assert "bought" in page and "nan" not in page.split("</style>")[1].split("<script")[0].lower().replace(
        "finance", ""
    )
    inside("fit", "g/groups/group-1.yaml", "--no-baselines", "--out", "m")
    tasks = json.loads((tmp_path / "m" / "metrics.json").read_text())["tasks"]
    assert [task["name"] for task in tasks] == facts["groups"][0]["tasks"]


def test_a_dry_run_prints_what_it_would_do(inside: Call, table: Path) -> None:
    words = ("group", table, *TARGETS, "--budget", "1.5x", "--affinity", "rsa", "--dry-run", "--measure")
    found = inside(*words, "--set", "group.merged=0.5")
    assert "# 3 tasks: 3 runs to look at them, groups for the compute of 1.5 models, then 3 seeds" in found.out
    assert "compute: 1.5" in found.out and "merged: 0.5" in found.out and "groups: null" in found.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "many"), "neither a number of groups"),
        (("--budget", "0.5x"), "compute must be at least 1"),
        (("--affinity", "data_map"), "Did you mean 'data_maps'"),
        (("--partitioner", "spectrl"), "Did you mean 'spectral'"),
        (("--set", "group.affinity_options.penalty=1"), "no option 'penalty'"),
        (("--set", "group.seeds.more=1"), "group.seeds must be a whole number"),
        (("--jobs", "0"), "jobs must be at least 1"),
        (("--device", "gpu"), "device 'gpu' cannot be used"),
    ],
)
def test_mistakes_are_explained(inside: Call, table: Path, words: tuple[str, ...], message: str) -> None:
    found = inside("group", table, *TARGETS, *words, "--out", "g", code=2)
    assert message in found.err
    assert not Path("g").exists()


def test_there_is_nothing_to_resume(inside: Call) -> None:
    assert "nothing to resume" in inside("group", "nowhere", "--resume", code=2).err


def test_budgets_are_groups_or_compute() -> None:
    assert parse_budget("3") == {"groups": 3, "compute": None}
    assert parse_budget("2.5x") == {"groups": None, "compute": 2.5}
    for text in ("x", "-1", "2.5", "1e3x", ""):
        with pytest.raises(ConfigurationError, match="neither"):
            parse_budget(text)


@pytest.mark.parametrize("words", [("compare", "d"), ("group", "d", "--resume"), ("front", "d"), ("fit", "d")])
def test_a_directory_of_another_verb_is_recognised(inside: Call, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "compare.yaml").write_text("compare: {}\n")
    said = inside(*words, code=2).err
    assert "d is a directory that accord compare made: go on with accord compare d --resume" in said
