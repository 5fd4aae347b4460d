"""Several processes take the same steps as one with the whole batch, and say what they cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.distributed.launch import assert_fine, run_checks

from accord.registry import registered


@pytest.mark.timeout(600)
def test_on_two_processes(tmp_path: Path) -> None:
    # Under a weighting, shards do the same whatever the weights are: three stand for all.
    weightings = ["fsdp_weighting_uncertainty", "fsdp_weighting_grad_norm", "fsdp_weighting_famo"]
    results = run_checks(2, tmp_path, "[!f]*", "fsdp_aggregation_*", *weightings)
    assert_fine(results)
    for room, kinds in (("aggregation", ("ddp", "fsdp")), ("weighting", ("ddp",))):
        assert {f"{kind}_{room}_{name}" for kind in kinds for name in registered(room)} < set(results)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_four_processes(tmp_path: Path) -> None:
    assert_fine(run_checks(4, tmp_path))
