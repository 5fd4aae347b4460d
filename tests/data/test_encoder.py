from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.data import FeatureEncoder, Features, infer_schema, open_table
from accord.data.dates import calendar
from accord.data.numeric import bin_edges, fit_scale
from accord.data.text import hashed, ngram_ids, tokens
from accord.errors import ConfigurationError, DataError


def fitted(columns: dict[str, object], overrides: dict[str, str] | None = None, **options: object) -> FeatureEncoder:
    table = open_table(columns)
    schema = infer_schema(table, overrides=overrides)
    return FeatureEncoder.fit(table, schema, **options)  # type: ignore[arg-type]


def test_numbers_by_hand() -> None:
    # Median 3, quartiles 2 and 4, so z = (x - 3) / 2, then z / sqrt(1 + z^2 / 9).
    encoder = fitted({"x": [1.5, 2.0, 3.0, 4.0, np.nan, 100.0]}, {"x": "numeric"})
    values = np.array([1.5, 2.0, 3.0, 4.0, 100.0])
    low, high = np.quantile(values, [0.25, 0.75])
    z = (values - 3.0) / (high - low)
    expected = z / np.sqrt(1 + (z / 3) ** 2)
    features = encoder.transform(open_table({"x": [1.5, 2.0, 3.0, 4.0, 100.0, None]}))
    np.testing.assert_allclose(features.numeric[:5, 0], expected, rtol=1e-6)
    assert features.numeric[5, 0] == 0 and features.indicators[:, 0].tolist() == [False] * 5 + [True]
    assert encoder.layout.indicators == ("x",) and encoder.layout.numeric == ("x",)


def test_a_column_without_missing_training_values_has_no_indicator() -> None:
    encoder = fitted({"x": np.arange(30) / 7})
    assert encoder.layout.indicators == ()
    features = encoder.transform(open_table({"x": [None, 1.0]}))
    assert features.indicators.shape == (2, 0) and features.numeric[0, 0] == 0


def test_a_column_that_is_mostly_zero_keeps_a_useful_scale() -> None:
    gains = np.zeros(1000)
    gains[:40] = np.linspace(1000, 9000, 40)
    gains[0] = 1e9
    scale = fit_scale(gains)
    spread = scale(np.array([0.0, 3000.0, 6000.0, 1e9]))
    assert spread[0] == 0 and 0.3 < spread[2] - spread[1] < 2 and spread[3] <= 3
    assert len(scale.edges) > 30


@settings(max_examples=80)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60), st.integers(1, 20))
def test_scales_are_bounded_monotone_and_have_usable_edges(values: list[float], bins: int) -> None:
    x = np.sort(np.array(values, dtype=np.float64))
    scale = fit_scale(x, bins)
    z = scale(x)
    assert np.isfinite(z).all() and (np.abs(z) <= 3).all() and (np.diff(z) >= -1e-6).all()
    assert len(scale.edges) >= 2 and (np.diff(scale.edges) > 0).all() and np.isfinite(scale.edges).all()
    assert len(scale.edges) <= max(bins + 1, 2) + bins
    if len(x):
        assert scale.edges[0] <= z.min() + 1e-6 and scale.edges[-1] >= z.max() - 1e-6


def test_edges_split_the_rows_evenly() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    edges = bin_edges(values, 20)
    counts, _ = np.histogram(values, edges)
    assert len(edges) == 21 and abs(counts - 500).max() < 10


def test_categories_by_hand() -> None:
    train = {"c": ["b", "a", "b", None, "c", "a", "b", "?"], "k": [3, 3, 3, 3, 5, 5, 5, 5]}
    encoder = fitted(train, {"c": "categorical", "k": "categorical"})
    layout = encoder.layout
    # b three times, a twice; c once is rarer than min_count = 2.
    assert layout.categorical == ("c", "k") and layout.cardinalities == (3, 3)
    other = open_table({"k": ["5", "3.0", "9", " 3"], "c": ["a", " b ", "new", None], "extra": [0, 0, 0, 0]})
    assert encoder.transform(other).categorical.tolist() == [[2, 2], [1, 0], [0, 0], [0, 1]]
    capped = fitted(train, {"c": "categorical", "k": "drop"}, max_categories=1, min_count=1)
    assert capped.layout.cardinalities == (2,)


def test_codes_do_not_depend_on_the_order_of_rows() -> None:
    cells = [f"v{i % 13}" for i in range(300)]
    shuffled = np.random.default_rng(0).permutation(cells).tolist()
    one, two = (fitted({"c": c}).to_state()["columns"] for c in (cells, shuffled))
    assert one == two


def test_only_training_rows_are_learnt_from() -> None:
    x = np.concatenate([np.arange(50.0) + 0.5, np.full(50, 1e6)])
    c = ["a", "b"] * 25 + ["z"] * 50
    holes = [1.5] * 20 + [2.5] * 30 + [None] * 50
    table = open_table({"x": x, "c": c, "holes": holes})
    encoder = FeatureEncoder.fit(table, infer_schema(table), np.arange(50))
    alone = open_table({"x": x[:50], "c": c[:50], "holes": holes[:50]})
    reference = FeatureEncoder.fit(alone, encoder.schema)
    assert encoder.to_state() == reference.to_state()
    assert encoder.layout.indicators == () and encoder.layout.cardinalities == (3,)


def test_dates_by_hand() -> None:
    monday_noon = 1_704_110_400.0  # 1 January 2024
    trend, month_sin, month_cos, day_sin, day_cos, hour_sin, hour_cos = calendar(np.array([monday_noon]))[0]
    assert trend == pytest.approx(24.0, abs=0.01)
    assert (month_sin, month_cos) == pytest.approx((0, 1)) and (day_sin, day_cos) == pytest.approx((0, 1))
    assert (hour_sin, hour_cos) == pytest.approx((0, -1), abs=1e-9)
    assert np.isnan(calendar(np.array([np.nan]))).all()
    before_1970 = calendar(np.array([-86_400.0 * 3]))[0]  # Monday 29 December 1969, midnight
    assert before_1970[3:5] == pytest.approx((0, 1)) and before_1970[5:] == pytest.approx((0, 1))


def test_dates_give_parts_that_vary_and_read_text_like_timestamps() -> None:
    days = np.datetime64("2023-01-01") + np.arange(0, 400, 10)
    encoder = fitted({"d": days})
    assert encoder.layout.numeric == ("d.trend", "d.month_sin", "d.month_cos", "d.weekday_sin", "d.weekday_cos")
    typed = encoder.transform(open_table({"d": days}))
    written = encoder.transform(open_table({"d": [str(day) for day in days]}))
    assert torch.equal(typed.numeric, written.numeric)
    american = fitted({"d": [f"{m:02d}/{d:02d}/2023" for m in range(1, 13) for d in (5, 28)]})
    assert torch.equal(
        american.transform(open_table({"d": ["03/05/2023"]})).numeric,
        american.transform(open_table({"d": [dt.date(2023, 3, 5)]})).numeric,
    )
    with pytest.raises(DataError, match="column 'd': expected dates, found int64"):
        encoder.transform(open_table({"d": [1, 2]}))
    with pytest.raises(DataError, match="column 'd', row 0: expected a date, found '31/31/2023'"):
        american.transform(open_table({"d": ["31/31/2023"]}))


def test_text_is_hashed_the_same_everywhere() -> None:
    assert tokens("Don't PANIC, ﬁne 中文") == ["don", "'", "t", "panic", ",", "fine", "中", "文"]
    ids = ngram_ids("Red car", 1000)
    assert ids == [1 + zlib.crc32(b) % 999 for b in (b"red", b"red car", b"car")]
    assert hashed(["red car", ""], 1000, 2).tolist() == [ids[:2], [0, 0]]
    script = "from accord.data.text import ngram_ids; print(ngram_ids('Red car', 1000))"
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == str(ids)


def test_text_columns() -> None:
    short = [f"word{i} and more words here" for i in range(100)]
    long = [f"word{i} " * 12 + str(i) for i in range(100)]
    encoder = fitted({"s": short, "l": long}, {"s": "text", "l": "text"})
    layout = encoder.layout
    assert layout.text == ("s", "l") and layout.text_buckets == 2**15
    assert layout.text_width == 25  # 13 words and 12 pairs
    features = encoder.transform(open_table({"s": ["word1", None], "l": ["", "word2 word2"]}))
    assert features.text.shape == (2, 2, 25) and features.text.dtype == torch.int16
    assert features.text[0, 0].tolist() == [*ngram_ids("word1"), *[0] * 24]
    assert features.text[1, 1, :3].tolist() == ngram_ids("word2 word2")
    assert (features.text[1, 0] == 0).all() and (features.text[0, 1] == 0).all()


def test_a_frozen_text_encoder_gives_numeric_features() -> None:
    def embedding(texts: list[str]) -> torch.Tensor:
        return torch.tensor([[len(t), t.count("a")] for t in texts], dtype=torch.float32)

    rows = [f"a text {'a' * (i % 7)} {'b' * i} end" for i in range(60)]
    encoder = fitted({"t": rows}, {"t": "text"}, text=embedding)
    assert encoder.layout.numeric == ("t.0", "t.1") and encoder.layout.text == ()
    features = encoder.transform(open_table({"t": rows}))
    lengths = fit_scale(np.array([len(t) for t in rows], dtype=float))
    np.testing.assert_allclose(features.numeric[:, 0], lengths(np.array([len(t) for t in rows], dtype=float)))
    state = json.loads(json.dumps(encoder.to_state()))
    with pytest.raises(DataError, match="frozen text encoder; pass the same one"):
        FeatureEncoder.from_state(state)
    again = FeatureEncoder.from_state(state, text=embedding)
    assert torch.equal(again.transform(open_table({"t": rows})).numeric, features.numeric)
    with pytest.raises(DataError, match=r"gave shape \[3\]"):
        fitted({"t": rows[:3]}, {"t": "text"}, text=lambda texts: np.zeros(len(texts)))


def test_infinite_numbers_are_refused_by_column_and_row_or_taken_as_missing() -> None:
    table = open_table({"x": [1.5, 2.5, np.inf, 3.5], "y": [1.0, 2.5, 3.0, 4.0]})
    schema = infer_schema(table, overrides={"x": "numeric", "y": "numeric"})
    with pytest.raises(DataError, match="column 'x', row 2: expected a number, found 'inf'"):
        FeatureEncoder.fit(table, schema)
    FeatureEncoder.fit(table, schema, np.array([0, 1, 3]))
    encoder = FeatureEncoder.fit(table, schema, non_finite="missing")
    assert encoder.transform(table).indicators[:, 0].tolist() == [False, False, True, False]


def test_wrong_types_at_predict_time() -> None:
    encoder = fitted({"x": np.arange(40) / 3, "s": ["m", "f"] * 20})
    good = {"x": [1.0, 2.0], "s": ["m", "f"]}
    with pytest.raises(DataError, match=r"no column 's', which the model reads \(categorical\)"):
        encoder.transform(open_table({"x": [1.0]}))
    with pytest.raises(DataError, match="column 'x', row 1: expected a number, found 'many'"):
        encoder.transform(open_table({**good, "x": ["1", "many"]}))
    with pytest.raises(DataError, match="column 's': expected text such as 'f', 'm', found double"):
        encoder.transform(open_table({**good, "s": [0.5, 1.5]}))
    with pytest.raises(DataError, match="column 'x': expected numbers, found timestamp"):
        encoder.transform(open_table({**good, "x": np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[s]")}))
    with pytest.raises(DataError, match="column 'x': expected a number, found list"):
        encoder.transform(open_table(pa.table({"x": [[1], [2]], "s": ["m", "f"]})))
    assert torch.equal(
        encoder.transform(open_table({"s": ["m", "f"], "x": ["1", "2"], "more": [0, 0]})).numeric,
        encoder.transform(open_table(good)).numeric,
    )
    assert encoder.transform(open_table({"x": [None, None], "s": [None, None]})).categorical.sum() == 0


def test_row_numbers_in_errors_are_those_of_the_table(tmp_path: Path) -> None:
    cells = ["1.5"] * 300
    encoder = fitted({"x": np.arange(40) / 3})
    cells[257] = "bad"
    pq.write_table(pa.table({"x": cells}), tmp_path / "t.parquet", row_group_size=100)
    with pytest.raises(DataError, match="row 257"):
        encoder.transform(open_table(tmp_path / "t.parquet"), np.arange(250, 300))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 39), max_size=50))
def test_transform_of_rows_is_rows_of_transform(rows: list[int]) -> None:
    rng = np.random.default_rng(0)
    table = open_table(
        {"x": rng.random(40), "c": [f"v{i % 4}" for i in range(40)], "t": [f"w{i} x y" for i in range(40)]}
    )
    encoder = FeatureEncoder.fit(table, infer_schema(table, overrides={"t": "text", "c": "categorical"}))
    whole, some = encoder.transform(table), encoder.transform(table, rows)
    index = torch.tensor(rows, dtype=torch.int64)
    assert all(torch.equal(a[index], b) for a, b in zip(whole.parts(), some.parts(), strict=True))


def test_state_survives_json_and_damage_is_an_error() -> None:
    rng = np.random.default_rng(0)
    table = open_table(
        {
            "x": np.where(rng.random(60) < 0.1, np.nan, rng.random(60)),
            "c": [f"é{i % 4}" for i in range(60)],
            "d": np.datetime64("2024-01-01T00:30") + 500 * np.arange(60),
            "t": [f"some words about {i} things" for i in range(60)],
        }
    )
    encoder = FeatureEncoder.fit(table, infer_schema(table))
    state = json.loads(json.dumps(encoder.to_state()))
    again = FeatureEncoder.from_state(state)
    assert again.layout == encoder.layout and again.to_state() == encoder.to_state()
    pairs = zip(again.transform(table).parts(), encoder.transform(table).parts(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for damaged in (
        {},
        {**state, "columns": [{"kind": "exec", "name": "x"}]},
        {**state, "options": {"bins": 1, "missing": [], "surprise": 1}},
        {**state, "columns": [{**state["columns"][0], "scale": {"centre": "x"}}]},
        {**state, "columns": "abc"},
    ):
        with pytest.raises(DataError):
            FeatureEncoder.from_state(damaged)


def test_features_are_stored_narrowly_and_come_out_wide() -> None:
    features = Features(
        torch.arange(6.0).reshape(3, 2),
        torch.tensor([[True], [False], [True]]),
        torch.tensor([[1], [2], [3]], dtype=torch.int16),
        torch.zeros(3, 1, 4, dtype=torch.int16),
    )
    assert len(features) == 3 and features.nbytes == 24 + 3 + 6 + 24 and features.device.type == "cpu"
    for rows in (slice(1, 3), torch.tensor([1, 2]), np.array([1, 2]), torch.tensor([False, True, True])):
        batch = features[rows]
        assert [part.dtype for part in batch.parts()] == [torch.float32, torch.float32, torch.int32, torch.int32]
        assert batch.categorical[:, 0].tolist() == [2, 3] and batch.indicators[:, 0].tolist() == [0, 1]
    assert features.to("cpu").categorical.dtype == torch.int16


def test_more_categories_than_int16_holds() -> None:
    many = [f"v{i}" for i in range(33_000)]
    encoder = fitted({"c": many}, {"c": "categorical"}, min_count=1)
    features = encoder.transform(open_table({"c": many}))
    assert features.categorical.dtype == torch.int32 and len(features.categorical.unique()) == 33_000


def test_options_are_checked() -> None:
    table = open_table({"x": np.arange(30) / 7})
    schema = infer_schema(table)
    for options, words in (
        ({"bins": 0}, "bins must be at least 1"),
        ({"text": "bert"}, "use 'hashed' or a function"),
        ({"non_finite": "mising"}, "Did you mean 'missing'"),
        ({"sample": 0}, "sample must be at least 1"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            FeatureEncoder.fit(table, schema, **options)
    with pytest.raises(DataError, match="no rows to learn from"):
        FeatureEncoder.fit(table, schema, np.empty(0, dtype=int))
    with pytest.raises(DataError, match="no features to learn from"):
        FeatureEncoder.fit(table, infer_schema(table, ["x"]))


def test_quantiles_of_a_sample_are_near_those_of_all_rows() -> None:
    x = np.random.default_rng(0).lognormal(size=20_000)
    table = open_table({"x": x})
    schema = infer_schema(table)
    sampled = FeatureEncoder.fit(table, schema, sample=5_000, seed=3).transform(table).numeric
    exact = FeatureEncoder.fit(table, schema).transform(table).numeric
    assert (sampled - exact).abs().max() < 0.15
    again = FeatureEncoder.fit(table, schema, sample=5_000, seed=3).transform(table).numeric
    assert torch.equal(sampled, again)
