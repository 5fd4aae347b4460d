from __future__ import annotations

import datetime as dt
import json
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.data import Schema, infer_schema, open_table
from accord.data.kinds import words
from accord.errors import ConfigurationError, DataError

N = 200
rng = np.random.default_rng(0)

COLUMNS = {
    "height": rng.normal(170, 10, N),
    "age": rng.integers(0, 90, N),
    "industry_code": rng.integers(0, 40, N),
    "rooms": rng.integers(1, 6, N),
    "num_children": rng.integers(0, 5, N),
    "flag": rng.integers(0, 2, N),
    "truth": rng.random(N) > 0.5,
    "agreed": np.where(rng.random(N) > 0.5, "Yes", "no"),
    "price": np.array([f"{x:,.2f}" for x in rng.uniform(0, 10_000, N)]),
    "grade": np.array([["A", "B", "C"][i % 3] for i in range(N)]),
    "zip": np.array([f"{x:05d}" for x in rng.integers(0, 60, N)]),
    "born": np.array([str(dt.date(1980, 1, 1) + dt.timedelta(days=37 * i)) for i in range(N)]),
    "joined_us": np.array([(dt.date(2020, 1, 13) + dt.timedelta(days=i)).strftime("%m/%d/%Y") for i in range(N)]),
    "when": np.datetime64("2024-01-01T10:00") + np.arange(N),
    "review": np.array([f"this is review number {i} of {i * 7} good words" for i in range(N)]),
    "row_id": rng.permutation(N),
    "serial": np.arange(N) + 1000,
    "token": np.array([str(uuid.UUID(int=int(x) + i)) for i, x in enumerate(rng.integers(0, 2**60, N))]),
    "customer": np.array([f"c{i}" for i in range(N)]),
    "always": np.full(N, 7),
    "never": np.full(N, "?"),
    "half": np.array(["yes!" if i % 2 else "" for i in range(N)]),
    "age_again": np.zeros(N),
}
COLUMNS["age_again"] = COLUMNS["age"].astype(np.float32)

KINDS = {
    "height": "numeric",
    "age": "numeric",
    "industry_code": "categorical",
    "rooms": "categorical",
    "num_children": "numeric",
    "flag": "boolean",
    "truth": "boolean",
    "agreed": "boolean",
    "price": "numeric",
    "grade": "categorical",
    "zip": "categorical",
    "born": "date",
    "joined_us": "date",
    "when": "date",
    "review": "text",
    "row_id": "identifier",
    "serial": "identifier",
    "token": "identifier",
    "customer": "identifier",
    "always": "constant",
    "never": "constant",
    "half": "categorical",
    "age_again": "duplicate",
}


def test_kinds() -> None:
    schema = infer_schema(open_table(COLUMNS))
    assert {column.name: column.kind for column in schema.columns} == KINDS
    dropped = {"row_id", "serial", "token", "customer", "always", "never", "age_again"}
    assert {column.name for column in schema.dropped} == dropped
    assert all(column.reason for column in schema.columns)
    assert schema["age_again"].reason == "equals 'age' in every row"
    assert schema["born"].format == "iso" and schema["joined_us"].format == "%m/%d/%Y"
    assert schema["half"].missing == 0.5 and schema["grade"].distinct == 3


def test_targets_are_never_dropped() -> None:
    schema = infer_schema(open_table(COLUMNS), ["always", "age_again"])
    assert [column.name for column in schema.targets] == ["always", "age_again"]
    assert schema["age"].role == "feature"


def test_overrides() -> None:
    table = open_table(COLUMNS)
    schema = infer_schema(table, overrides={"age": "categorical", "zip": "drop", "serial": "numeric"})
    assert (schema["age"].kind, schema["age"].role) == ("categorical", "feature")
    assert schema["zip"].role == "dropped" and schema["serial"].role == "feature"
    with pytest.raises(DataError, match=r"no column 'aeg'. Did you mean 'age'"):
        infer_schema(table, overrides={"aeg": "drop"})
    with pytest.raises(ConfigurationError, match=r"cannot be 'numerical'. Did you mean 'numeric'"):
        infer_schema(table, overrides={"age": "numerical"})
    with pytest.raises(DataError, match="cannot be numeric: it holds texts"):
        infer_schema(table, overrides={"grade": "numeric"})
    with pytest.raises(DataError, match="cannot be a date"):
        infer_schema(table, overrides={"grade": "date"})


def test_ambiguous_dates_are_decided_openly_or_by_a_value_that_settles_it() -> None:
    both = infer_schema(open_table({"d": ["01/02/2024", "03/04/2024", "05/06/2024"] * 5}))["d"]
    assert both.format == "%m/%d/%Y" and "day first both fit" in both.reason
    day = infer_schema(open_table({"d": ["01/02/2024", "13/04/2024", "05/06/2024"] * 5}))["d"]
    assert day.format == "%d/%m/%Y" and "both fit" not in day.reason


def test_nearly_numbers_are_not_swallowed() -> None:
    column = infer_schema(open_table({"x": [str(i) for i in range(99)] + ["n.a."]}), overrides={})["x"]
    assert column.kind in ("categorical", "identifier")
    repeated = infer_schema(open_table({"x": [str(i) for i in range(60)] * 2 + ["n.a."]}))["x"]
    assert repeated.kind == "categorical" and "'n.a.' is not: is it a missing value?" in repeated.reason
    cured = infer_schema(open_table({"x": [str(i) for i in range(60)] * 2 + ["n.a."]}, missing=["n.a."]))["x"]
    assert cured.kind == "numeric"


def test_nested_columns_are_dropped_and_named() -> None:
    table = open_table(pa.table({"x": [1.5, 2.5], "tags": [["a"], []], "at": [{"lat": 1}, {"lat": 2}]}))
    schema = infer_schema(table)
    assert [c.name for c in schema.dropped] == ["tags", "at"] and "spread them" in schema["tags"].reason
    with pytest.raises(DataError, match="column 'tags' holds list"):
        infer_schema(table, ["tags"])


def test_dropping_is_decided_on_all_rows_not_on_the_sample() -> None:
    n = 5000
    nearly = np.zeros(n)
    nearly[np.setdiff1d(np.arange(n), np.random.default_rng(0).choice(n, 100, replace=False))[0]] = 1.5
    x = np.random.default_rng(1).random(n)
    unlike = np.where(nearly > 0, -1.0, x)
    table = open_table({"nearly": nearly, "x": x, "unlike": unlike, "like": x.copy(), "always": np.ones(n)})
    schema = infer_schema(table, sample=100)
    assert schema["nearly"].role == schema["unlike"].role == "feature"
    assert schema["like"].kind == "duplicate" and schema["always"].kind == "constant"
    assert schema.rows_read == 100 and schema.rows == n


def test_text_columns_are_duplicates_whatever_the_order_of_their_dictionaries() -> None:
    a = pa.array(["x", "y", "x", "y"] * 10)
    b = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1, 0] * 10), pa.array(["y", "x"]))
    schema = infer_schema(open_table(pa.table({"a": a, "b": b})))
    assert schema["b"].kind == "duplicate"


def test_an_empty_table_is_refused_and_one_row_is_not() -> None:
    with pytest.raises(DataError, match="has no rows"):
        infer_schema(open_table({"x": np.empty(0)}))
    assert infer_schema(open_table({"x": [1.5], "s": ["a"]})).rows == 1


def test_json_round_trip_and_damage() -> None:
    schema = infer_schema(open_table(COLUMNS), ["grade"])
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    with pytest.raises(DataError, match="not the record of a schema"):
        Schema.from_dict({"columns": [{"name": "x"}], "rows": 1, "rows_read": 1, "missing_marks": []})
    with pytest.raises(DataError, match="no field 'script'"):
        Schema.from_dict({"columns": [{"name": "x", "script": "1"}], "rows": 1, "rows_read": 1, "missing_marks": []})
    with pytest.raises(DataError, match=r"no column 'grad'. Did you mean 'grade'"):
        schema["grad"]


def test_the_table_for_people_says_all_that_matters() -> None:
    values = {"age": [1, 2, 3, 40] * 5, "[bold]odd[/]": ["a", "b"] * 10, "k": [1] * 20}
    shown = str(infer_schema(open_table(values), ["age"]))
    assert "3 columns, 20 rows" in shown
    lines = {line.split("│")[1].strip(): line for line in shown.splitlines() if line.count("│") > 3}
    assert "target" in lines["age"] and "[bold]odd[/]" in lines
    assert "dropped" in lines["k"] and "always '1'" in lines["k"]


def test_words_of_a_name() -> None:
    assert words("zipCode_2") == {"zip", "code", "2"} and words("num persons-worked") == {"num", "persons", "worked"}


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text("ab_", min_size=1, max_size=4),
        st.lists(
            st.one_of(
                st.none(), st.text("a1-/ .?", max_size=8), st.sampled_from(["2024-01-01", "1e5", "true", "007", "inf"])
            ),
            min_size=5,
            max_size=5,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_table_of_text_has_a_schema_that_survives_json(columns: dict[str, list[str | None]]) -> None:
    schema = infer_schema(open_table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}))
    assert [column.name for column in schema.columns] == list(columns)
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert str(schema)
