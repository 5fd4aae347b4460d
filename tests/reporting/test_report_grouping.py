"""The page and the text of a grouping: what is on them, whatever the tasks are called and however much is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reporting.parsed import parse

from accord.errors import RunError
from accord.grouping.agglomerative import linkage
from accord.reporting import grouping_text, write_grouping
from accord.reporting.grouping.read import order_of

NASTY = ['<script>alert("x")</script>', "\u202eright to left", "a & b", "plain", "x" * 300]


def made(names: list[str], *, measured: bool = True, seed: int = 0) -> dict[str, Any]:
    """A ``group.json`` of two groups: even tasks and odd ones, the last also helping in the first."""
    rng = np.random.default_rng(seed)
    count = len(names)
    helps = rng.normal(size=(count, count))
    np.fill_diagonal(helps, 0)
    interval = {"value": 0.3, "low": 0.1, "high": 0.5}
    groups = [names[::2], names[1::2]]
    facts: dict[str, Any] = {
        "accord": "0.1.0",
        "created": "2026-11-21T14:32:05+00:00",
        "group": {},
        "tasks": [{"name": name, "kind": "binary", "primary": "auc", "metrics": {}} for name in names],
        "rows": {"train": 100, "validation": 10, "test": 20},
        "affinity": {"title": "TAG", "helps": helps.tolist(), "joins": linkage(helps).tolist()},
        "partitioner": "branch_and_bound",
        "budget": {"unit": "groups", "limit": 2.0, "spent": 2.0},
        "groups": [
            {
                "tasks": group + ([names[-1]] if names[-1] not in group else []),
                "serves": group,
                "cost": 1.0,
                "predicted": 0.2,
                "spec": f"groups/group-{number}.yaml",
            }
            for number, group in enumerate(groups, 1)
        ],
        "predicted": {"groups": 0.2, "together": 0.1, "random": 0.05, "tasks": []},
        "measured": None,
        "paragraph": "All in all.",
        "warnings": [],
        "notes": [],
    }
    if measured:
        facts["measured"] = {
            "seeds": 3,
            "contestants": [
                {
                    "key": "groups",
                    "name": "proposed groups",
                    "cost": 2.0,
                    "models": 2,
                    "seconds": 9.0,
                    "delta_m": interval,
                },
                {"key": "singles", "name": "each alone", "cost": 5.0, "models": 5, "seconds": 20.0, "delta_m": None},
            ],
            "against": [{"other": "random", **interval, "p": 0.01, "p_holm": 0.02, "outcome": "better"}],
            "tasks": [
                {
                    "task": name,
                    "predicted": float(rng.normal()),
                    "over_together": {**interval, "value": None if t == 0 else 1.0},
                }
                for t, name in enumerate(names)
            ],
            "agreement": {"spearman": 0.5, "p": 0.01, "tasks": len(names)},
        }
    return facts


def written(tmp_path: Path, facts: dict[str, Any]) -> str:
    (tmp_path / "group.json").write_text(json.dumps(facts))
    (tmp_path / "group.yaml").write_text("group: {}\n")
    return write_grouping(tmp_path).read_text("utf-8")


@pytest.mark.parametrize("measured", [True, False])
def test_names_are_text_and_every_task_is_there(tmp_path: Path, measured: bool) -> None:
    page = written(tmp_path, made(NASTY, measured=measured))
    assert "<script>alert" not in page
    document = parse(page)
    text = document.text()
    assert all(name in text for name in (NASTY[0], NASTY[2], NASTY[3]))
    assert "nan" not in page.split("</style>")[1].split("<script")[0]
    assert ("Predicted and measured" in text) == measured
    assert ("not measured yet" in text) == (not measured)


def test_a_map_has_a_cell_for_every_pair_and_a_frame_for_every_group(tmp_path: Path) -> None:
    names = [f"task {t}" for t in range(7)]
    page = written(tmp_path, made(names))
    assert page.count("helps task") == 7 * 6
    assert page.count('class="group-frame"') == 2 and page.count('class="joint"') == 6


def test_tasks_of_a_group_stand_together() -> None:
    names = list("abcde")
    assert [names[t] for t in order_of(made(names))] == ["a", "c", "e", "b", "d"]


def test_many_tasks_are_listed_and_not_drawn(tmp_path: Path) -> None:
    page = written(tmp_path, made([f"t{t}" for t in range(120)], measured=False))
    assert "heat-map" not in page.split("</style>")[1] and "t119" in page


def test_the_text_names_groups_helpers_and_gaps() -> None:
    said = grouping_text(made(list("abcd")))
    assert "1  a, c (with d to help); predicted 0.200" in said
    assert "2  b, d; predicted" in said and "to random groups: +0.30 [+0.10, +0.50]" in said and "All in all." in said


def test_what_is_no_grouping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished grouping"):
        write_grouping(tmp_path)
    (tmp_path / "group.json").write_text("{")
    with pytest.raises(RunError, match=r"damaged.*Train again"):
        write_grouping(tmp_path)
    (tmp_path / "records").mkdir()
    with pytest.raises(RunError, match=r"damaged.*accord group .* --resume writes it again"):
        write_grouping(tmp_path)
