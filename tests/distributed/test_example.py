"""The example prints the same on one process and on two."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.distributed.launch import HERE, torchrun

EXAMPLE = HERE.parents[1] / "examples" / "distributed.py"


@pytest.mark.slow
def test_the_example_does_not_depend_on_the_number_of_processes() -> None:
    alone = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True, timeout=240).stdout
    assert alone.startswith("losses [")
    assert torchrun(2, EXAMPLE) == alone
