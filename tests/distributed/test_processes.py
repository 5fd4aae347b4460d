"""Several processes take the same steps as one with the whole batch, and say what they cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.distributed.launch import assert_fine, run_checks

from accord.balancer import GramianAggregator
from accord.registry import registered


@pytest.mark.timeout(600)
def test_on_two_processes(tmp_path: Path) -> None:
    # Shards do the same whatever the weights are, of losses or of gradients: three of each stand for all. Aggregators
    # that are shown the gradients themselves see them in shards.
    aggregators = registered("aggregation")
    shown = [name for name, cls in aggregators.items() if not issubclass(cls, GramianAggregator)]
    sharded = [f"fsdp_aggregation_{name}" for name in (*shown, "mgda", "nash_mtl", "pcgrad")]
    sharded += [f"fsdp_weighting_{name}" for name in ("uncertainty", "grad_norm", "famo")]
    results = run_checks(2, tmp_path, "[!f]*", *sharded)
    assert_fine(results)
    replicas = {f"ddp_{room}_{name}" for room in ("aggregation", "weighting") for name in registered(room)}
    assert replicas | set(sharded) < set(results)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_four_processes(tmp_path: Path) -> None:
    assert_fine(run_checks(4, tmp_path))
