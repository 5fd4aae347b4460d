"""``accord data``: the registry of data sets, and Census-Income, which ships with the package."""

from __future__ import annotations

import json

from accord.data import datasets, open_table


def test_the_list_names_every_data_set_on_a_line_of_its_own(inside):
    lines = inside("data").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(datasets.DATASETS)
    assert "ships with Accord" in lines[0]


def test_one_is_described_with_its_licence_and_how_to_use_it(inside):
    shown = inside("data", "census-income").out
    entry = datasets.describe("census-income")
    assert entry.licence in shown and entry.citation in shown and "accord fit census-income" in shown


def test_whoever_has_the_files_is_told_where_they_go(inside, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    shown = inside("data", "multi-fashion").out
    for file in datasets.describe("multi-fashion").files:
        assert f"kept as {file.name})" in shown
    assert f"folder    {tmp_path / 'cache' / 'multi-fashion'}" in shown
    assert "folder" not in inside("data", "census-income").out


def test_programs_get_the_same_facts(inside):
    (facts,) = json.loads(inside("data", "census-income", "--json").out)
    assert facts["rows"] == 299_285 and facts["here"] is True and facts["urls"] == []
    assert {entry["name"] for entry in json.loads(inside("data", "--json").out)} == set(datasets.DATASETS)


def test_an_export_holds_every_row_and_says_which_part_it_is(inside, tmp_path):
    result = inside("data", "census-income", "--export", "census.parquet")
    assert result.out == ""
    table = open_table(tmp_path / "census.parquet")
    assert table.num_rows == datasets.describe("census-income").rows
    codes, parts = table.codes("part")
    counts = {part: int((codes == code).sum()) for code, part in enumerate(parts)}
    assert counts == {"train": 199_523, "test": 99_762}
    original = datasets.load("census-income")
    assert set(table.names) == {*original.names, "part"}
    assert open_table(tmp_path / "census.parquet").head(50).numbers(["age"]).tolist() == (
        original.head(50).numbers(["age"]).tolist()
    )


def test_a_download_prints_where_the_files_are(inside):
    assert inside("data", "census-income", "--download").out.strip().endswith("census_income")


def test_mistakes(inside):
    assert "'census-income'" in inside("data", "census-incme", code=2).err
    assert "which data set" in inside("data", "--download", code=2).err
    assert ".parquet" in inside("data", "census-income", "--export", "c.xlsx", code=2).err
