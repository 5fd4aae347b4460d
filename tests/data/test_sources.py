"""Real files, real databases, real frames."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from accord.data import Table, infer_schema, open_table
from accord.data.sources.delimited import delimited
from accord.data.sources.spool import spool
from accord.errors import DataError


def same(table: Table, people: pa.Table) -> None:
    """The table holds the rows of ``people``, whatever types the format turned them into."""
    expected = open_table(people)
    assert table.names == expected.names and table.num_rows == 40
    np.testing.assert_allclose(table.numbers(["income"]), expected.numbers(["income"]))
    codes, categories = table.codes("colour")
    assert categories == ("blue", "green", "red") and (codes == expected.codes("colour")[0]).all()


def test_files_of_every_format(people: pa.Table, tmp_path: Path) -> None:
    pq.write_table(people, tmp_path / "a.parquet")
    feather.write_feather(people, str(tmp_path / "a.feather"))
    with pa.ipc.new_file(tmp_path / "a.arrow", people.schema) as file:
        file.write_table(people)
    pacsv.write_csv(people, tmp_path / "a.csv")
    pacsv.write_csv(people, tmp_path / "a.tsv", pacsv.WriteOptions(delimiter="\t"))
    with gzip.open(tmp_path / "b.csv.gz", "wb") as file:
        file.write((tmp_path / "a.csv").read_bytes())
    for name in ("a.parquet", "a.feather", "a.arrow", "a.csv", "a.tsv", "b.csv.gz"):
        same(open_table(tmp_path / name), people)
        same(open_table(str(tmp_path / name)), people)


def test_frames_of_every_kind(people: pa.Table) -> None:
    frame = people.to_pandas()
    for source in (
        people,
        people.to_reader(max_chunksize=7),
        ds.dataset(people),
        frame,
        pl.from_arrow(people),
        pl.from_arrow(people).lazy(),
        {name: people[name].to_numpy(zero_copy_only=False) for name in people.column_names},
        duckdb.sql("SELECT * FROM people"),
    ):
        same(open_table(source), people)
    assert open_table(people.to_batches()[0]).num_rows == 40
    table = open_table(people)
    assert open_table(table) is table


def test_leading_zeros_of_codes_in_text_files_survive(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7:05d},{i % 5},0.{i},{'00' if i == 3 else i + 0.5},2020-01-{1 + i % 28:02d}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["n,zip,few,part,odd,day", *rows]), encoding="utf-8")
    table = open_table(tmp_path / "t.csv")
    assert table.codes("zip")[1] == tuple(f"{i:05d}" for i in range(7))
    assert {name: table.types[name] for name in ("n", "few", "part")} == {
        "n": "int64",
        "few": "int64",
        "part": "double",
    }
    schema = infer_schema(table)
    assert schema["zip"].kind == "categorical"
    # A zero too many in one number of many makes no code of the column.
    assert schema["odd"].kind == "numeric" and table.numbers(["odd"])[3, 0] == 0
    assert schema["day"].kind == "date"


def test_zeros_are_seen_in_quoted_cells_and_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('1;"007"\n2;"a ""line\nbreak"""\n', encoding="utf-8")
    assert open_table(tmp_path / "t.csv", names=["n", "code"]).codes("code")[1] == ("007", 'a "line\nbreak"')
    (tmp_path / "u.csv").write_text("007;1\n012;2\n", encoding="utf-8")
    assert open_table(tmp_path / "u.csv", names=["code", "n"]).codes("code")[1] == ("007", "012")


def test_folder_glob_and_partitions(people: pa.Table, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    ds.write_dataset(people, folder, format="parquet", partitioning=["member"], partitioning_flavor="hive")
    table = open_table(folder)
    assert table.num_rows == 40 and set(table.names) == set(people.column_names)
    assert set(table.codes("member")[1]) == {"true", "false"}
    assert open_table(str(folder / "*" / "*.parquet")).num_rows == 40
    for i in (0, 1):
        pacsv.write_csv(people.slice(20 * i, 20), tmp_path / f"half{i}.csv")
    same(open_table(str(tmp_path / "half*.csv")), people)
    with pytest.raises(DataError, match="mixes"):
        open_table(tmp_path)


def test_files_of_one_folder_may_widen_a_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [0.5]}), tmp_path / "b.parquet")
    assert open_table(tmp_path).numbers(["x"])[:, 0].tolist() == [1, 2, 0.5]


def test_sql(people: pa.Table, people_parquet: Path, tmp_path: Path) -> None:
    same(open_table(f"SELECT * FROM '{people_parquet}'"), people)
    same(open_table(people_parquet, query="SELECT * FROM data"), people)
    assert open_table(people_parquet.parent, query="FROM data WHERE member").num_rows == 20
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT * FROM '{people_parquet}'")
        same(open_table(connection, query="SELECT * FROM t"), people)
    same(open_table(tmp_path / "d.duckdb"), people)
    frame = people.to_pandas().astype({"since": str})
    with sqlite3.connect(tmp_path / "s.sqlite") as lite:
        frame.to_sql("t", lite, index=False)
        same(open_table(lite, query="SELECT * FROM t"), people)
        lite.execute("CREATE TABLE u (x)")
    lite.close()
    same(open_table(tmp_path / "s.sqlite", query="SELECT * FROM t"), people)
    with pytest.raises(DataError, match="holds the tables t, u; say which"):
        open_table(tmp_path / "s.sqlite")
    with pytest.raises(DataError, match=r"the query failed: .*nope"):
        open_table(tmp_path / "s.sqlite", query="SELECT nope FROM t")
    with pytest.raises(DataError, match="the query failed"):
        open_table(tmp_path / "d.duckdb", query="SELEC 1")
    with pytest.raises(DataError, match="returns no rows"):
        open_table(tmp_path / "s.sqlite", query="BEGIN")


def test_sqlite_types_may_change_by_row(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as lite:
        lite.execute("CREATE TABLE t (n, s)")
        lite.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2.5, 7), (None, None), ("4", "b")])
    lite.close()
    table = open_table(tmp_path / "s.db")
    np.testing.assert_array_equal(table.numbers(["n"])[:, 0], [1, 2.5, np.nan, 4])
    assert table.codes("s")[1] == ("7", "a", "b")


def test_a_database_is_opened_read_only(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as lite:
        lite.execute("CREATE TABLE t (n)")
    lite.close()
    with pytest.raises(DataError):
        open_table(tmp_path / "s.db", query="DELETE FROM t")
    with pytest.raises(DataError):
        open_table(tmp_path / "s.db", query="DROP TABLE t")
    (tmp_path / "x.db").write_text("not a database at all")
    with pytest.raises(DataError, match="neither a SQLite nor a DuckDB"):
        open_table(tmp_path / "x.db")


def test_pandas_with_mixed_objects_and_labels_that_are_no_text() -> None:
    frame = pd.DataFrame({0: [1, "a", None], "x": pd.Categorical(["u", "v", "u"]), "y": pd.array([1, None, 3])})
    table = open_table(frame)
    assert table.names == ("0", "x", "y")
    assert table.codes("0")[1] == ("1", "a") and table.codes("x")[0].tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="several columns called 'a'"):
        open_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_mappings_are_checked() -> None:
    with pytest.raises(DataError, match="equally long"):
        open_table({"a": [1], "b": [1, 2]})
    with pytest.raises(DataError, match=r"column 'a' has shape \[2, 2\]"):
        open_table({"a": np.zeros((2, 2))})
    with pytest.raises(DataError, match=r"cannot read a table from builtins\.int"):
        open_table(3)


def test_encodings(tmp_path: Path) -> None:
    text = "name,n\ncafé,1\nnaïve,2\n"
    expected = ("café", "naïve")
    for name, raw in {
        "utf8": text.encode(),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf16": text.encode("utf-16"),
        "utf16le": text.encode("utf-16-le"),
        "utf16be": text.encode("utf-16-be"),
    }.items():
        (tmp_path / f"{name}.csv").write_bytes(raw)
        table = open_table(tmp_path / f"{name}.csv")
        assert table.names == ("name", "n"), name
        assert table.codes("name")[1] == expected, name
    (tmp_path / "latin.csv").write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="not UTF-8"):
        assert open_table(tmp_path / "latin.csv").codes("name")[1] == expected
    assert open_table(tmp_path / "latin.csv", encoding="latin-1").codes("name")[1] == expected
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        open_table(tmp_path / "latin.csv", encoding="klingon")
    (tmp_path / "late.csv").write_bytes(b"name,n\n" + b"plain,1\n" * 300_000 + "café,1\n".encode("latin-1"))
    with pytest.warns(UserWarning, match="not UTF-8"):
        assert open_table(tmp_path / "late.csv").codes("name")[1] == ("café", "plain")
    (tmp_path / "binary.csv").write_bytes(b"a,b\n1,\x00\x01\n" + bytes(range(32, 200)) * 9)
    with pytest.raises(DataError, match="not text"):
        open_table(tmp_path / "binary.csv")


@pytest.mark.parametrize("comma", [",", ";", "|", "\t"])
def test_delimiters(tmp_path: Path, comma: str) -> None:
    rows = [["a", "b", "long, text"], ["1", "2", "x; y"], ["3", "4", "z"]]
    lines = [comma.join(f'"{cell}"' for cell in row) for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = open_table(tmp_path / "t.csv")
    assert table.names == ("a", "b", "long, text") and table.numbers(["a"])[:, 0].tolist() == [1, 3]


def test_ragged_rows_are_named_by_line(tmp_path: Path) -> None:
    good = "".join(f"{i},{i}\n" for i in range(1000))
    (tmp_path / "long.csv").write_text(f"a,b\n{good}1,2,3\n4,5\n")
    with pytest.raises(DataError, match=r"long\.csv, line 1002: 3 fields where 2 are expected.*'1,2,3'"):
        open_table(tmp_path / "long.csv")
    (tmp_path / "quoted.csv").write_text('a,b\n"two\nlines",2\n7\n')
    with pytest.raises(DataError, match=r"quoted\.csv, line 4: 1 fields where 2 are expected"):
        open_table(tmp_path / "quoted.csv")


def test_types_that_change_after_the_first_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accord.data.sources.delimited.BLOCK_BYTES", 1000)
    early = "".join(f"{i},{i},,x\n" for i in range(500))
    (tmp_path / "t.csv").write_text(f"i,f,late,s\n{early}1.5,abc,9,7\n")
    table = open_table(tmp_path / "t.csv")
    assert table.types["i"] == "double" and table.types["f"] == "string"
    assert table.numbers(["i"])[-1, 0] == 1.5 and table.codes("late")[1] == ("9",)
    assert len(table.codes("f")[1]) == 501


def test_headers(tmp_path: Path) -> None:
    (tmp_path / "blank.csv").write_text(",a , b\n0,1,2\n")
    assert open_table(tmp_path / "blank.csv").names == ("unnamed_0", "a", "b")
    (tmp_path / "none.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match="holds numbers, not column names"):
        open_table(tmp_path / "none.csv")
    assert open_table(tmp_path / "none.csv", names=["a", "b"]).numbers(["a"])[:, 0].tolist() == [1, 3]
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    with pytest.raises(DataError, match="several columns are called 'a'"):
        open_table(tmp_path / "twice.csv")
    (tmp_path / "only.csv").write_text("a,b\n")
    assert open_table(tmp_path / "only.csv").num_rows == 0


def test_nothing_there(people: pa.Table, people_parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "spaces.csv").write_text("\n \n")
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / "folder").mkdir()
    cut = people_parquet.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "fake.arrow").write_text("a,b\n1,2\n")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)[:-30])
    for name, words in {
        "empty.csv": "is empty",
        "spaces.csv": "is empty",
        "peeple.parquet": "Did you mean 'people.parquet'",
        "notes.docx": "unknown kind of file '.docx'",
        "folder": "folder without tables",
        "nowhere/x.csv": "nor the folder",
        "*.orc": "no file matches",
        "cut.parquet": r"cut\.parquet is truncated, corrupted",
        "fake.arrow": r"fake\.arrow is truncated, corrupted",
        "cut.csv.gz": r"cut\.csv\.gz cannot be",
    }.items():
        with pytest.raises(DataError, match=words):
            open_table(tmp_path / name)


def test_a_damaged_page_in_the_middle_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    values = [f"value {i}" for i in range(20_000)]
    pq.write_table(pa.table({"s": values}), path, row_group_size=5_000, compression="zstd")
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 200] = bytes(200)
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read"):
        open_table(path).codes("s")


def test_a_stream_that_is_too_large_for_memory_goes_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, people: pa.Table
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dataset = spool(people.to_batches(max_chunksize=5), people.schema, limit=100)
    same(Table([dataset], source="spooled"), people)
    assert list(tmp_path.rglob("spool.parquet"))
    del dataset
    assert not list(tmp_path.iterdir())


def test_the_package_needs_no_engine_until_a_table_is_opened() -> None:
    script = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"
        "import accord.data\n"
        "from accord.data import open_table, datasets, find_leakage, split\n"
        "from accord.errors import MissingExtraError\n"
        "try:\n    open_table({'a': [1]})\n"
        "except MissingExtraError as error:\n    assert 'accord[tables]' in str(error), error\n"
        "else:\n    raise SystemExit('opened')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_delimited_text_is_parsed_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n2\n")
    dataset = delimited(path)
    path.unlink()
    assert Table([dataset], source="t").numbers(["a"]).tolist() == [[1], [2]]
