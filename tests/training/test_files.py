"""Files are whole or absent, and nothing that is read can execute."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accord.errors import RunError
from accord.training.checkpoint import load_checkpoint, save_checkpoint
from accord.training.files import (
    flatten,
    read_json,
    read_tensors,
    unflatten,
    write_atomic,
    write_json,
    write_tensors,
    write_text,
)

NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 99), inner),
    max_leaves=20,
)


@given(NESTED)
def test_state_survives_exactly(value) -> None:
    assert unflatten(flatten("", value, {}), {}) == value


def test_checkpoint_holds_tensors_floats_and_the_generator(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = {"a": {0: torch.randn(3, 4).T, "x": [math.pi, -math.inf, None]}, "step": 7}
        save_checkpoint(tmp_path / "c", state)
        expected = torch.rand(5)
        torch.manual_seed(99)
        found = load_checkpoint(tmp_path / "c")
        assert torch.equal(torch.rand(5), expected)
    assert torch.equal(found["a"][0], state["a"][0])
    assert found["a"]["x"] == [math.pi, -math.inf, None]
    assert found["step"] == 7


def test_state_that_would_need_code_is_refused() -> None:
    with pytest.raises(RunError, match=r"state model\.hook holds a function"):
        flatten("model", {"hook": lambda: 0}, {})


def test_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_text(path, "before")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"No space left on device.*unchanged.*--resume"):
        write_atomic(path, fail)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_file_size_limit_of_a_real_process(tmp_path: Path) -> None:
    """A full disk as the kernel reports it: writing past the limit fails, the old file stays."""
    code = f"""
import resource, signal, sys
from pathlib import Path
import torch
from accord.errors import RunError
from accord.training.files import write_tensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(tmp_path)!r}) / "m"
write_tensors(path, {{"w": torch.ones(10)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_tensors(path, {{"w": torch.ones(100_000)}})
except RunError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "could not write" in out
    assert "File too large" in out
    assert read_tensors(tmp_path / "m")[0]["w"].shape == (10,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(RunError, match="damaged or is not a safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}"])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"metrics\.json is damaged"):
        read_json(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.json is missing"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RunError, match=r"a\.safetensors is missing"):
        read_tensors(tmp_path / "a.safetensors")


def test_truncated_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write_tensors(path, {"w": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RunError, match="damaged"):
        read_tensors(path)


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"a": [float("nan"), float("inf"), 1.5], "t": torch.tensor([1.0, float("nan")])})
    assert read_json(tmp_path / "m.json") == {"a": [None, None, 1.5], "t": [1.0, None]}
