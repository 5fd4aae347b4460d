"""Lists, settings and places on the command line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accord.cli.words import free_directory, parse_settings, split_names
from accord.errors import ConfigurationError

NAMES = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs", "Cc", "Z"]), min_size=1)


def test_targets_may_be_listed_and_repeated():
    assert split_names(["a,b", "c", " d , ,"]) == ["a", "b", "c", "d"]
    assert split_names(None) == []


@given(st.lists(NAMES))
def test_joining_and_splitting_gives_the_names_back(names):
    assert split_names([",".join(names)]) == names == split_names(names)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("k=3", 3),
        ("k=0.5", 0.5),
        ("k=true", True),
        ("k=null", None),
        ("k=[64, 32]", [64, 32]),
        ("k=a=b", "a=b"),
        ("k=", ""),
    ],
)
def test_values_are_read_as_yaml(word, value):
    assert parse_settings([word]) == {"k": value}


@given(st.dictionaries(st.from_regex(r"[a-z]+(\.[a-z]+)*", fullmatch=True), st.integers() | st.booleans() | st.none()))
def test_settings_round_trip(settings):
    words = [f"{key}={yaml.safe_dump(value).splitlines()[0]}" for key, value in settings.items()]
    assert parse_settings(words) == settings


@pytest.mark.parametrize("word", ["training.epochs", "=3", "k=[1", "k=!!python/object/apply:os.getcwd []"])
def test_what_is_no_setting_is_refused_by_name(word):
    with pytest.raises(ConfigurationError, match="--column"):
        parse_settings([word], "--column")


def test_run_directories_are_named_after_the_source_and_never_reused(tmp_path):
    assert free_directory("data/sales.parquet", tmp_path) == tmp_path / "sales"
    (tmp_path / "sales").mkdir()
    (tmp_path / "sales-2").mkdir()
    assert free_directory("data/sales.parquet", tmp_path) == tmp_path / "sales-3"
    for source in ("data/*.csv", "SELECT * FROM 'sales.parquet'", "data/..", ""):
        assert free_directory(source, tmp_path) == tmp_path / "run"
