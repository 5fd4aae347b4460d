"""Several processes take the same steps as one with the whole batch, and say what they cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.distributed.launch import assert_fine, run_checks

from accord.registry import registered


def test_on_two_processes(tmp_path: Path) -> None:
    results = run_checks(2, tmp_path)
    assert_fine(results)
    methods = registered("aggregation", "weighting")
    assert {f"{kind}_{name}" for kind in ("ddp", "fsdp") for name in methods} < set(results)


@pytest.mark.slow
def test_on_four_processes(tmp_path: Path) -> None:
    assert_fine(run_checks(4, tmp_path))
