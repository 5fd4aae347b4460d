"""The tables of a run: given test rows, infinite numbers, and a table that changes between two attempts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.training.tables import make_table, only

import accord
from accord.data import open_table
from accord.errors import ConfigurationError, DataError, RunError
from accord.training import Spec, plan
from accord.training import run as run_plan
from accord.training.same_table import same_table
from accord.training.sections import read_section

FAST = {"epochs": 1, "batch_size": 128, "resamples": 20, "patience": 0, "baselines": False}


def table(rows: int = 300, seed: int = 0) -> dict[str, np.ndarray]:
    return only(make_table(rows, seed), "bought", "price")


@pytest.mark.parametrize("convert", [dict, pa.table], ids=["mapping", "arrow"])
def test_a_test_table_in_memory(tmp_path: Path, convert) -> None:
    beside = convert(table(70, seed=1))
    model = accord.fit(table(), targets=["bought", "price"], test=beside, out=tmp_path / "r", **FAST)
    assert model.metrics["rows"] == {"train": 270, "validation": 30, "test": 70}
    spec = Spec.from_yaml(tmp_path / "r" / "spec.yaml")
    assert (spec.data.source, spec.data.test) == ("<in memory>", "<in memory>")
    errors = np.asarray(model.predict(beside)["price"]) - table(70, seed=1)["price"]
    assert model.metrics["test"]["joint"]["price"]["rmse"][0] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)


def test_running_again_asks_for_the_test_table_and_gives_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table(table()), tmp_path / "t.parquet")
    beside = table(70, seed=1)
    first = accord.fit(tmp_path / "t.parquet", targets=["bought"], test=beside, out=tmp_path / "a", **FAST)
    spec = Spec.from_yaml(tmp_path / "a" / "spec.yaml")
    assert (spec.data.source, spec.data.test) == (str(tmp_path / "t.parquet"), "<in memory>")
    with pytest.raises(DataError, match="test table in memory; give that table again"):
        plan(spec=spec)
    second = run_plan(plan(spec=spec, test=beside), tmp_path / "b")
    assert first.metrics["test"] == second.metrics["test"]


def test_a_test_file_stays_a_path(tmp_path: Path) -> None:
    pq.write_table(pa.table(table(70, seed=1)), tmp_path / "test.parquet")
    accord.fit(table(), targets=["bought"], test=tmp_path / "test.parquet", out=tmp_path / "r", **FAST)
    assert Spec.from_yaml(tmp_path / "r" / "spec.yaml").data.test == str(tmp_path / "test.parquet")


def test_a_test_table_is_not_ignored_beside_an_opened_table(tmp_path: Path) -> None:
    opened = accord.data.open_table(table())
    model = accord.fit(opened, targets=["bought"], test=table(70, seed=1), out=tmp_path / "r", **FAST)
    assert model.metrics["rows"]["test"] == 70


def test_infinite_numbers_taken_as_missing_are_counted_by_column(tmp_path: Path) -> None:
    bad = table()
    bad["x0"] = np.where(np.isin(np.arange(300), (3, 99, 250)), np.inf, bad["x0"])
    bad["x1"] = np.where(np.arange(300) == 8, -np.inf, bad["x1"])
    model = accord.fit(bad, targets=["bought"], non_finite="missing", out=tmp_path / "r", **FAST)
    notes = [note for note in model.metrics["notes"] if "infinite" in note]
    assert notes == [
        "column 'x0': 3 infinite, taken as missing",
        "column 'x1': 1 infinite, taken as missing",
    ]
    assert np.isfinite(model.predict(bad)["bought=1"]).all()
    with pytest.raises(DataError, match="column 'x0', row"):
        accord.fit(bad, targets=["bought"], **FAST)


def interrupted(where: Path, source: object, **options) -> None:
    """Start a run that dies before its first step, as a killed process leaves it."""

    class Dies:
        def __getattr__(self, name: str):
            def news(*_: object) -> None:
                if name == "begin":
                    raise KeyboardInterrupt

            return news

    with pytest.raises(KeyboardInterrupt):
        accord.fit(source, targets=["bought"], out=where, progress=Dies(), **FAST, **options)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {name: column[:-1] for name, column in t.items()}, "it has 299 rows and had 300"),
        (lambda t: {**t, "x9": t["x1"]}, "the column 'x9' is new"),
        (lambda t: {**t, "bought": t["bought"].astype(float)}, "column 'bought' holds double and held int64"),
        (lambda t: {**t, "x1": np.where(np.arange(300) == 77, 0.0, t["x1"])}, "the values of 'x1' differ"),
    ],
)
def test_a_run_is_not_resumed_with_a_table_that_changed(tmp_path: Path, change, words: str) -> None:
    interrupted(tmp_path / "r", table())
    with pytest.raises(RunError, match=f"cannot be resumed.*{words}"):
        accord.fit(change(table()), targets=["bought"], out=tmp_path / "r", resume=True, **FAST)
    model = accord.fit(table(), targets=["bought"], out=tmp_path / "r", resume=True, **FAST)
    assert not (model.directory / "checkpoints").exists()


def test_given_test_rows_count_as_part_of_the_table(tmp_path: Path) -> None:
    interrupted(tmp_path / "r", table(), test=table(70, seed=1))
    with pytest.raises(RunError, match="the values of"):
        options = {"test": table(70, seed=2), "resume": True, **FAST}
        accord.fit(table(), targets=["bought"], out=tmp_path / "r", **options)


def test_what_was_cut_short_is_named_and_there_is_a_way_out(tmp_path: Path) -> None:
    where, source = tmp_path / "table.json", open_table({"a": np.arange(5.0)})
    same_table(tmp_path, where, source)
    where.write_text(where.read_text("utf-8")[:20], "utf-8")
    with pytest.raises(RunError, match=r"table\.json is damaged.*Delete it if the table is still the one"):
        same_table(tmp_path, where, source)
    spec = tmp_path / "compare.yaml"
    spec.write_text("data:\n  source: t.parquet\n", "utf-8")
    with pytest.raises(ConfigurationError, match=r"compare\.yaml: 'tasks' is required"):
        read_section(spec, "compare")
