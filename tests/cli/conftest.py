"""The real command, in a process of its own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from accord.cli import main

COMMAND = Path(sys.executable).with_name("accord")


@dataclass(frozen=True)
class Result:
    """What one call of the command left behind."""

    code: int
    out: str
    err: str


def run_command(words: Sequence[str | Path], directory: Path) -> Result:
    """Run ``accord`` with words in a directory, 80 columns wide."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    done = subprocess.run(
        [COMMAND, *map(str, words)], cwd=directory, env=environment, capture_output=True, text=True, timeout=120
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def accord(tmp_path: Path) -> Callable[..., Result]:
    """Call ``accord`` with words in the test's own directory and check its exit code."""

    def call(*words: str | Path, code: int = 0) -> Result:
        result = run_command(words, tmp_path)
        assert result.code == code, f"exit code {result.code}\n{result.out}\n{result.err}"
        return result

    return call


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Like ``accord`` without the price of a new process: for what does not depend on one."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path, code: int = 0) -> Result:
        capsys.readouterr()
        result = Result(main([*map(str, words)]), *capsys.readouterr())
        assert result.code == code, f"exit code {result.code}\n{result.out}\n{result.err}"
        return result

    return call


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CSV file with two targets that its features explain."""
    draw = random.Random(0)
    lines = ["age,city,score,bought,price"]
    for _ in range(300):
        age, city, score = draw.randint(18, 80), draw.choice(["Oslo", "Rome", "Lima"]), draw.gauss(0, 1)
        bought = "yes" if score + (city == "Rome") + draw.gauss(0, 1) > 0.5 else "no"
        price = "" if draw.random() < 0.1 else f"{age / 10 + 2 * score + draw.gauss(0, 0.5):.3f}"
        lines.append(f"{age},{city},{score:.4f},{bought},{price}")
    path = tmp_path_factory.mktemp("tables") / "shop.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def fitted(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished run on that table, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "shop"
    words = ["fit", table, "--targets", "bought,price", "--epochs", "2", "--batch-size", "64", "--out", out]
    result = run_command([*words, "--set", "evaluation.resamples=50"], out.parent)
    assert result.code == 0, result.err
    return out, result
