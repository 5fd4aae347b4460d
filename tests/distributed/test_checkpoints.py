"""Sharded checkpoints go on where they stopped, on another number of processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from tests.distributed.launch import HERE, torchrun
from torch import Tensor

from accord.engines import empty_like_saved
from accord.errors import RunError

SCRIPT = HERE / "resume.py"
# One process may read and write what several share; PyTorch mentions it each time.
pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps on two processes."""
    path = tmp_path_factory.mktemp("half") / "checkpoint"
    torchrun(2, SCRIPT, "-", path, "0", "3")
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps on one process."""
    path = tmp_path_factory.mktemp("whole") / "checkpoint"
    torchrun(1, SCRIPT, "-", path, "0", "6")
    return path


def saved(path: Path) -> dict[str, Tensor]:
    reader = dcp.FileSystemReader(path)
    parts = {name: empty_like_saved(reader, name) for name in ("model", "optimiser", "balancer")}
    dcp.load(parts, storage_reader=reader, no_dist=True)
    return {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.items()}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_resumes_exactly(half: Path, uninterrupted: Path, processes: int, tmp_path: Path) -> None:
    torchrun(processes, SCRIPT, half, tmp_path / "rest", "3", "6")
    found, wanted = saved(tmp_path / "rest"), saved(uninterrupted)
    assert found.keys() == wanted.keys()
    assert {"balancer.targets", "balancer.draws.place"} <= found.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-7, atol=1e-7, msg=lambda m, name=name: f"{name}: {m}")


def test_a_checkpoint_without_a_balancer_says_what_it_holds(tmp_path: Path) -> None:
    dcp.save({"model": {"weight": torch.ones(2)}}, checkpoint_id=tmp_path, no_dist=True)
    with pytest.raises(RunError, match="under 'balancer'; it holds: model"):
        empty_like_saved(dcp.FileSystemReader(tmp_path), "balancer")


def test_state_of_any_size_is_loaded_into_a_new_balancer(tmp_path: Path) -> None:
    from accord.aggregation import GradVac

    used = GradVac(beta=0.5, seed=4)
    used.weights(torch.tensor([[1.0, -0.5], [-0.5, 2.0]]))
    assert used.targets.numel()
    dcp.save({"balancer": used.state_dict()}, checkpoint_id=tmp_path, no_dist=True)
    state = empty_like_saved(dcp.FileSystemReader(tmp_path), "balancer")
    dcp.load({"balancer": state}, checkpoint_id=tmp_path, no_dist=True)
    fresh = GradVac(beta=0.5, seed=4)
    fresh.load_state_dict(state)
    for name, tensor in used.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
