"""Specifications: what is written is what is run, and every mistake is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.errors import ConfigurationError
from accord.training.strict import decode, encode


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    mode: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    sizes: tuple[int, ...] = ()
    note: str | None = None
    flag: bool = False
    count: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def test_round_trip() -> None:
    value = Outer("a", Inner(0.5, "slow"), (1, 2), None, True, 3, {"k": [1, {"x": None}]})
    assert decode(Outer, encode(value)) == value


@given(
    st.builds(
        Outer,
        st.text(),
        st.builds(Inner, st.floats(allow_nan=False), st.sampled_from(["fast", "slow"])),
        st.lists(st.integers()).map(tuple),
        st.none() | st.text(),
        st.booleans(),
        st.integers(),
        st.just({}),
    )
)
def test_round_trip_of_anything(value: Outer) -> None:
    assert decode(Outer, encode(value)) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"nam": "x"}, "unknown option 'nam'. Did you mean 'name'"),
        ({}, "'name' is required"),
        ({"name": "x", "inner": {"rat": 1}}, "unknown option 'inner.rat'. Did you mean 'rate'"),
        ({"name": "x", "inner": {"rate": "fast"}}, "inner.rate must be a number, not 'fast'"),
        ({"name": "x", "inner": {"mode": "fsat"}}, "inner.mode cannot be 'fsat'. Did you mean 'fast'"),
        ({"name": "x", "inner": 3}, "inner must be a mapping of options, not 3"),
        ({"name": "x", "sizes": "12"}, "sizes must be a list"),
        ({"name": "x", "sizes": [1, "b"]}, r"sizes\[1\] must be a whole number, not 'b'"),
        ({"name": "x", "count": True}, "count must be a whole number, not True"),
        ({"name": "x", "count": 1.5}, "count must be a whole number, not 1.5"),
        ({"name": "x", "flag": 1}, "flag must be true or false, not 1"),
        ({"name": 3}, "name must be text, not 3"),
        ({"name": "x", "extra": [1]}, "extra must be a mapping"),
        ([1], "the specification must be a mapping"),
    ],
)
def test_mistakes_are_named(data: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        decode(Outer, data)


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    assert decode(Outer, {"name": "x", "inner": {"rate": "1e-3"}}).inner.rate == 1e-3
