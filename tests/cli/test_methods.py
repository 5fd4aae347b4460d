"""``accord methods``: the registry as text and as records."""

from __future__ import annotations

import json

import pytest

from accord.registry import ROOMS, registered


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
def test_one_room(accord, room):
    assert {record["room"] for record in json.loads(accord("methods", "--room", room, "--json").out)} == {room}


def test_the_list_for_people_has_one_line_per_method(accord):
    assert len(accord("methods").out.splitlines()) == 1 + len(registered())


@pytest.mark.parametrize("spelling", ["pcgrad", "PCGrad", "pc-grad"])
def test_one_method_in_any_spelling(accord, spelling):
    shown = accord("methods", spelling).out
    assert shown.startswith("PCGrad") and "arxiv.org" in shown and "accord.aggregation.PCGrad(" in shown


def test_a_mistyped_method_is_suggested(accord):
    assert "'pcgrad'" in accord("methods", "pcgrd", code=2).err


def test_a_mistyped_room_is_suggested(accord):
    assert "'weighting'" in accord("methods", "--room", "weigting", code=2).err
