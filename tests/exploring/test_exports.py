"""Exports: names that are made here, one per solution, and nothing half-written."""

from __future__ import annotations

import re
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import RunError
from accord.exploring.exports import Exports, stem


class Writer:
    """Writes what it was asked for, or fails on the way."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked: list[tuple] = []

    def export(self, preference, path, format):
        self.asked.append((tuple(preference), format))
        if format == "onnx":
            path.write_bytes(b"model")
        else:
            (path / "deep").mkdir(parents=True)
            (path / "model.safetensors").write_bytes(b"weights")
            (path / "deep" / "spec.yaml").write_text("a: 1")
        if self.failure:
            raise self.failure


TASKS = ("income", "marital stat")


def test_the_same_solution_is_written_once_and_another_under_another_name(tmp_path):
    exports, writer = Exports(tmp_path), Writer()
    first = exports.write(writer, TASKS, (0.3, 0.7), "safetensors")
    again = exports.write(writer, TASKS, (0.3, 0.7), "safetensors")
    near = exports.write(writer, TASKS, (0.301, 0.699), "safetensors")
    other = exports.write(writer, TASKS, (0.3, 0.7), "onnx")
    assert (first, again, near) == ("income-30-marital_stat-70", first, f"{first}-2")
    assert other == f"{first}.onnx"
    assert writer.asked == [((0.3, 0.7), "safetensors"), ((0.301, 0.699), "safetensors"), ((0.3, 0.7), "onnx")]
    assert {p.name for p in (tmp_path / "exports").iterdir()} == {first, near, other}


def test_what_an_earlier_server_wrote_is_left_alone(tmp_path):
    (tmp_path / "exports" / "income-30-marital_stat-70").mkdir(parents=True)
    assert Exports(tmp_path).write(Writer(), TASKS, (0.3, 0.7), "safetensors") == "income-30-marital_stat-70-2"


def test_an_export_that_was_deleted_is_written_again(tmp_path):
    exports, writer = Exports(tmp_path), Writer()
    name = exports.write(writer, TASKS, (0.3, 0.7), "onnx")
    (tmp_path / "exports" / name).unlink()
    assert exports.write(writer, TASKS, (0.3, 0.7), "onnx") == name
    assert len(writer.asked) == 2


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RunError("cannot"), KeyboardInterrupt()])
def test_a_failed_export_leaves_nothing(tmp_path, kind, failure):
    exports = Exports(tmp_path)
    with pytest.raises((RunError, KeyboardInterrupt)) as caught:
        exports.write(Writer(failure), TASKS, (0.5, 0.5), kind)
    assert list((tmp_path / "exports").iterdir()) == [] and not exports.written
    if isinstance(failure, OSError):
        assert "No space left" in str(caught.value)


def test_a_directory_is_downloaded_as_a_zip_file_of_itself(tmp_path):
    exports = Exports(tmp_path)
    name = exports.write(Writer(), TASKS, (1.0, 0.0), "safetensors")
    file, shown, size = exports.download(name)
    with file:
        data = file.read()
    assert (shown, size) == (f"{name}.zip", len(data))
    (tmp_path / "x.zip").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.testzip() is None
        assert archive.read(f"{name}/model.safetensors") == b"weights"
        assert archive.read(f"{name}/deep/spec.yaml") == b"a: 1"
        assert len(archive.namelist()) == 2


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../front.json", "front.json", "/etc/passwd", "income-30-marital_stat-70"]
)
def test_only_what_was_exported_is_sent(tmp_path, name):
    (tmp_path / "front.json").write_text("{}")
    with pytest.raises(RunError, match="nothing called"):
        Exports(tmp_path).download(name)


@settings(max_examples=100)
@given(st.lists(st.text(max_size=30), min_size=2, max_size=6), st.data())
def test_names_are_safe_whatever_the_tasks_are_called(tasks, data):
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(tasks), max_size=len(tasks)))
    name = stem(tasks, shares)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name)
