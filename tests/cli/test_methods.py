"""``accord methods``: the registry as text and as records."""

from __future__ import annotations

import json

import pytest

from accord.cli import main
from accord.errors import ConfigurationError
from accord.registry import ROOMS, find, registered


def test_records_cover_the_registry_and_nothing_else(accord):
    records = json.loads(accord("methods", "--json").out)
    assert {(record["room"], record["name"]) for record in records} == {
        (room, name) for room in ROOMS for name in registered(room)
    }
    for record in records:
        cls = registered(record["room"])[record["name"]]
        assert record["class"] == cls.__name__
        assert record["catalogue"] == list(cls.method.catalogue)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("room", ROOMS)
def test_one_room(capsys, room):
    assert main(["methods", "--room", room, "--json"]) == 0
    assert {record["room"] for record in json.loads(capsys.readouterr().out)} == {room}


def test_the_list_for_people_has_one_line_per_method(capsys):
    assert main(["methods"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(registered())


@pytest.mark.parametrize("spelling", ["pcgrad", "PCGrad", "pc-grad"])
def test_one_method_in_any_spelling(capsys, spelling):
    assert main(["methods", spelling]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("PCGrad") and "arxiv.org" in shown and "accord.aggregation.PCGrad(" in shown


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [(["pcgrd"], "'pcgrad'"), (["--room", "weigting"], "'weighting'"), (["mean", "--room", "sharing"], "mean")],
)
def test_mistakes_are_suggested(capsys, words, suggestion):
    assert main(["methods", *words]) == 2
    assert suggestion in capsys.readouterr().err


def test_a_method_of_another_room_is_said_to_be_one():
    with pytest.raises(ConfigurationError, match=r"'EPO'\. It is a method of the room pareto, for accord front"):
        find("EPO", "weighting", "aggregation")
    with pytest.raises(ConfigurationError, match="Did you mean 'upgrad'"):
        find("upgrat", "weighting", "aggregation")
