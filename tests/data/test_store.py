from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from accord.data import read_parquet, replacing, write_parquet
from accord.errors import DataError


def test_round_trip_keeps_values_and_types(tmp_path: Path) -> None:
    columns = {"x": np.array([1.5, np.nan]), "n": np.array([1, 2**40]), "s": ["a", "ü"], "b": np.array([True, False])}
    write_parquet(tmp_path / "t.parquet", columns)
    back = read_parquet(tmp_path / "t.parquet")
    assert list(back) == list(columns)
    np.testing.assert_array_equal(back["x"], columns["x"])
    np.testing.assert_array_equal(back["n"], columns["n"])
    assert back["s"].tolist() == ["a", "ü"] and back["b"].tolist() == [True, False]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, {"x": [1, 2]})
    with pytest.raises(DataError, match="equally long"):
        write_parquet(path, {"x": [1], "y": [1, 2]})
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_parquet(path)["x"].tolist() == [1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_parquet(tmp_path / "t.parquet", {"x": [1]})
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "t.parquet")}
    assert len(modes) == 1


def test_a_truncated_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, {"x": list(range(1000))})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"t\.parquet"):
        read_parquet(path)
