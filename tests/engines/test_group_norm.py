"""Group normalisation whose samples belong to tasks, as one backward per task."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import accord
from accord.aggregation import UPGrad


def frozen(norm: nn.GroupNorm, name: str) -> nn.GroupNorm:
    norm.get_parameter(name).requires_grad_(False)
    return norm


NORMS = {
    "one group": lambda: nn.GroupNorm(1, 6),
    "three groups": lambda: nn.GroupNorm(3, 6),
    "as many as channels": lambda: nn.GroupNorm(6, 6),
    "no factor": lambda: frozen(nn.GroupNorm(2, 6), "weight"),
    "no offset": lambda: frozen(nn.GroupNorm(2, 6), "bias"),
    "neither": lambda: nn.GroupNorm(2, 6, affine=False),
}
PLACES = {"none": (), "a line": (5,), "a plane": (4, 3), "a volume": (2, 3, 2)}


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("kind", NORMS)
def test_a_group_norm_is_that_of_one_backward_per_task(kind: str, places: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, owner = torch.randn(8, 6, *PLACES[places], generator=generator), torch.tensor([2, 0, 1, 1, 0, 2, 3, 1])
    if places == "a plane":
        x = x.to(memory_format=torch.channels_last)
    scale, norm = nn.Parameter(torch.randn(6, generator=generator)), NORMS[kind]()
    for parameter in norm.parameters():
        nn.init.normal_(parameter, generator=generator)

    def found(engine: str) -> list[Tensor]:
        shared = [scale, *(p for p in norm.parameters() if p.requires_grad)]
        for parameter in shared:
            parameter.grad = None
        features = norm(x * scale.view(1, -1, *(1 for _ in PLACES[places])))
        losses = [(task + features[owner == task]).tanh().pow(2).mean() for task in range(3)]
        step = accord.backward(losses, shared, UPGrad(), engine=engine)
        assert step.gramian is not None
        return [step.gramian, *(parameter.grad for parameter in shared if parameter.grad is not None)]

    for a, b in zip(found("grouped"), found("loop"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_half_precision_under_autocast() -> None:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3))
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=generator)
    x = torch.randn(6, 3, 8, 8, generator=generator)
    found = []
    for engine in ("grouped", "loop"):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            features = net(x)
        losses = [features[task::2].float().tanh().mean() for task in range(2)]
        accord.backward(losses, net.parameters(), UPGrad(), engine=engine)
        found.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    assert torch.linalg.vector_norm(found[0] - found[1]) < 0.03 * torch.linalg.vector_norm(found[1])
