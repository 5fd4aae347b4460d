"""Two processes at one directory: the second is told so, and nothing of the first is touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.training.tables import make_table, only

import accord
from accord.errors import RunError
from accord.holding import holding

HOLDER = """
import sys
from pathlib import Path
from accord.holding import holding
with holding(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(directory: Path, how: str = "alone") -> Iterator[subprocess.Popen[str]]:
    """A real process that holds ``directory``."""
    command = [sys.executable, "-c", HOLDER, str(directory), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        for shared in (False, True):
            with pytest.raises(RunError, match="another process is at work"), holding(tmp_path, shared=shared):
                pass
        process.kill()
        process.wait()
        with holding(tmp_path):
            pass


def test_machines_that_agree_share_and_keep_others_out(tmp_path: Path) -> None:
    with held(tmp_path, "shared"):
        with holding(tmp_path, shared=True):
            pass
        with pytest.raises(RunError, match="another process is at work"), holding(tmp_path):
            pass


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (accord.fit, {}),
        (accord.compare, {"methods": ["cagrad"]}),
        (accord.group, {}),
        (accord.front, {}),
    ],
    ids=["fit", "compare", "group", "front"],
)
def test_nothing_is_trained_where_another_is_at_work(
    make: Callable[..., Any], options: dict[str, Any], tmp_path: Path
) -> None:
    table = only(make_table(240), "bought", "price")
    with holding(tmp_path), pytest.raises(RunError, match="another process is at work"):
        make(table, targets=["bought", "price"], epochs=1, out=tmp_path, **options)
    assert {path.name for path in tmp_path.rglob("*.json")} <= {"table.json"}
    assert not list(tmp_path.rglob("*.safetensors"))
