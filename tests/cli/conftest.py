"""The real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("accord")


@dataclass(frozen=True)
class Result:
    """What one call of the command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def accord(tmp_path: Path) -> Callable[..., Result]:
    """Call ``accord`` with words, in the test's own directory, 80 columns wide."""

    def call(*words: str | Path, code: int = 0) -> Result:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
        done = subprocess.run(
            [COMMAND, *map(str, words)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Result(done.returncode, done.stdout, done.stderr)

    return call
