"""A group whose backend nobody named, as ``init_process_group()`` makes it, on whatever build of PyTorch this is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

import accord
from accord.engines._processes import Processes

pytestmark = pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator to use")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[dist.ProcessGroup]:
    dist.init_process_group(init_method=(tmp_path / "meeting").as_uri(), rank=0, world_size=1)
    world = dist.group.WORLD
    assert world is not None
    yield world
    dist.destroy_process_group()


def test_a_step_is_that_of_no_group(group: dist.ProcessGroup) -> None:
    model = nn.Linear(3, 2)

    def direction(group: dist.ProcessGroup | str) -> torch.Tensor:
        losses = model(torch.linspace(-1, 2, 12).view(4, 3)).square().mean(dim=0)
        model.zero_grad()
        accord.backward(losses, shared=list(model.parameters()), balancer=accord.aggregation.UPGrad(), group=group)
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    torch.testing.assert_close(direction(group), direction("local"))


def test_builds_for_an_accelerator_that_is_not_there_exchange_numbers_on_the_cpu(
    group: dist.ProcessGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What such builds say, for the sake of those that are built for none.
    monkeypatch.setattr(
        torch.accelerator,
        "current_accelerator",
        lambda check_available=False: None if check_available else torch.device("cuda"),
    )
    assert Processes(group).device == torch.device("cpu")
    assert Processes(group).gather(torch.tensor([3, 4], device=Processes(group).device)).tolist() == [[3, 4]]
