"""The page of a front: complete, safe, and drawn where its numbers say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from accord.errors import RunError
from accord.reporting import front_text, write_front
from accord.reporting.svg.scatter import Mark, Rule, Scatter, scatter


def figures(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def described(names: tuple[str, ...] = ("<b>income", "age")) -> dict[str, Any]:
    """Return a front of some tasks, with a corner point each and one in the middle."""
    tasks = [
        {
            "name": name,
            "kind": "binary",
            "primary": "auc",
            "metrics": {"auc": {"label": "AUC", "higher_is_better": True, "unit": "points", "scale": 100.0}},
        }
        for name in names
    ]

    def judged(values: list[float]) -> dict[str, Any]:
        pairs = list(zip(names, values, strict=True))
        return {"losses": {n: 1 - v for n, v in pairs}, "metrics": {n: {"auc": figures(v)} for n, v in pairs}}

    count = len(names)
    preferences = [[float(i == j) for j in range(count)] for i in range(count)] + [[1 / count] * count]
    points = [
        {"preference": p, "split": "validation", "dominated": False, **judged([0.5 + 0.3 * s for s in p])}
        for p in preferences
    ]
    points[-1]["test"] = judged([0.77] * count)
    single = {"losses": {names[0]: 0.1}, "metrics": {names[0]: {"auc": figures(0.9)}}}
    return {
        "accord": "0.1.0",
        "created": "2026-11-22T14:32:05+00:00",
        "kind": "steerable",
        "method": "cosmos",
        "tasks": tasks,
        "seeds": [0],
        "rows": {"test": 1234},
        "points": points,
        "knee": count,
        "baselines": [{"name": "balanced", **judged([0.7] * count)}, {"name": f"single:{names[0]}", **single}],
        "hypervolume": {
            "front": figures(0.5),
            "balanced": figures(0.3),
            "gain": {"value": 0.2, "low": 0.1, "high": 0.3},
        },
        "cosines": {
            "tasks": list(names),
            "matrix": [[1.0 if i == j else -0.25 for j in range(count)] for i in range(count)],
        },
        "cost": {"front": {"seconds": 3.0, "parameters": 1000}, "baselines": {"seconds": 6.0, "parameters": 2000}},
        "paragraph": "It steers & it does.",
        "warnings": ["'a' <tells> b"],
        "notes": [],
    }


def page(tmp_path: Path, found: dict[str, Any]) -> str:
    (tmp_path / "front.json").write_text(json.dumps(found), encoding="utf-8")
    (tmp_path / "front.yaml").write_text("front:\n  method: cosmos\n", encoding="utf-8")
    return write_front(tmp_path).read_text(encoding="utf-8")


def test_the_page_has_everything_and_fetches_nothing(tmp_path: Path) -> None:
    shown = page(tmp_path, described())
    assert "covers more of the trade-off than one balanced model" in shown
    assert "It steers &amp; it does." in shown and "&lt;tells&gt;" in shown
    assert "<b>income" not in shown and "&lt;b&gt;income" in shown
    assert "knee" in shown and "method: cosmos" in re.sub(r"<[^>]+>", "", shown)
    assert "0.770 [0.720, 0.820]" in shown  # of the test rows where there are any
    assert "\u22120.25" in shown and "1,234 test rows" in shown
    assert not re.search(r"(src|href)=\"(?!#|data:,)", shown) and "style=" not in shown
    assert shown == page(tmp_path, described())


def test_three_tasks_are_drawn_in_pairs_and_many_stop_somewhere(tmp_path: Path) -> None:
    three = page(tmp_path, described(("a", "b", "c")))
    assert three.count('id="losses-') == 3 and three.count('id="steer-') == 3
    many = page(tmp_path, described(tuple("abcdefg")))
    assert many.count('id="losses-') == 6 and "6 of 21 pairs" in many


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    found = described()
    for key in ("baselines", "cosines", "rows"):
        del found[key]
    found["hypervolume"] = {"front": figures(0.5)}
    found["points"][0]["losses"]["age"] = None
    found["points"][0]["metrics"]["age"]["auc"] = {"value": None, "low": None, "high": None}
    found["knee"] = None
    shown = page(tmp_path, found)
    assert "A front without baselines" in shown and 'id="conflict"' not in shown
    assert "1 not finite" in shown and "nan" not in re.sub(r"<(style|script)>.*?</\1>", "", shown, flags=re.DOTALL)
    assert "–" in front_text(found)


def test_the_text_has_points_and_baselines_in_columns(tmp_path: Path) -> None:
    lines = front_text(described(("income", "age"))).splitlines()
    assert lines[0].split() == ["preference", "income", "AUC", "age", "AUC"]
    assert lines[3].split()[:4] == ["0.50", "0.50", "0.770", "[0.720,"]
    assert lines[4].startswith("  balanced") and lines[5].rstrip().endswith("–")


def test_a_directory_without_a_front_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no front"):
        write_front(tmp_path)
    (tmp_path / "front.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        write_front(tmp_path)


def test_marks_stand_where_their_numbers_are() -> None:
    marks = [Mark(0.0, 0.0, "a", "first"), Mark(1.0, 1.0, "b", "second"), Mark(0.5, 0.25, "c", "third", "diamond")]
    drawn = scatter(Scatter("n", "d", "x", marks, [Rule("y", 0.5, "base", "half")], (0, 1)), (400, 300))
    places = {
        tip: (float(x), float(y))
        for x, y, tip in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="5" data-tip="(\w+)"', drawn)
    }
    (x0, y0), (x1, y1) = places["first"], places["second"]
    assert x0 < x1 and y1 < y0  # up is more
    rule = re.search(r'class="rule-line base" x1="[\d.]+" x2="[\d.]+" y1="([\d.]+)"', drawn)
    assert rule and float(rule[1]) == pytest.approx((y0 + y1) / 2, abs=0.02)
    turned = re.search(r"rotate\(45 ([\d.]+) ([\d.]+)\)", drawn)
    assert turned and float(turned[1]) == pytest.approx((x0 + x1) / 2, abs=0.1)
    assert float(turned[2]) == pytest.approx(y0 + (y1 - y0) / 4, abs=0.1)
    assert "half" in drawn and "data-cells" in drawn
    gone = Mark(float("nan"), 0.0, "a", "first")
    assert "1 not finite" in scatter(Scatter("n", "d", "x", [gone, *marks[1:]]), (400, 300))
