"""What the paragraph of a grouping advises, by how the groups did against the others."""

from __future__ import annotations

from typing import Any

import pytest

from accord.grouping.words import paragraph


def made(**outcomes: str) -> dict[str, Any]:
    """Results of a grouping whose groups came out like that against each other way."""
    against = [
        {"other": other, "value": -1.5, "low": -2.25, "high": -0.75, "outcome": outcome}
        for other, outcome in outcomes.items()
    ]
    return {
        "tasks": [{"name": name} for name in "abc"],
        "affinity": {"title": "TAG"},
        "budget": {"unit": "groups", "limit": 2.0},
        "groups": [{"tasks": ["a", "b"], "serves": ["a", "b"]}, {"tasks": ["c"], "serves": ["c"]}],
        "predicted": {"groups": 0.2, "together": 0.1, "random": 0.1},
        "measured": {"seeds": 5, "against": against, "agreement": None},
        "confidence": 0.95,
        "warnings": [],
        "notes": [],
    }


@pytest.mark.parametrize(
    ("outcomes", "advice"),
    [
        (("no clear difference", "better", "better"), "One model of all tasks costs less"),
        (("better", "worse", "worse"), "random groups do better than these: the affinity misleads here"),
        (("better", "no clear difference", "better"), "which tasks are together does not show"),
        (("better", "better", "worse"), "train each task alone"),
    ],
)
def test_advice_follows_from_what_was_measured(outcomes: tuple[str, str, str], advice: str) -> None:
    said = paragraph(made(**dict(zip(("together", "random", "singles"), outcomes, strict=True))))
    assert advice in said
    assert "(\u22121.50 points of delta-m [\u22122.25, \u22120.75])" in said
