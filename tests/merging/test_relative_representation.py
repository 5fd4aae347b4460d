"""A space that encoders of different seeds share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError
from accord.merging import RelativeRepresentation, relative, stitch


def turned(width: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q


def test_by_hand() -> None:
    found = relative(tensor([[3.0, 4.0], [0.0, 0.0]]), tensor([[1.0, 0.0], [0.0, 2.0], [-6.0, -8.0]]))
    assert found[0].tolist() == pytest.approx([0.6, 0.8, -1.0]) and found[1].tolist() == [0.0, 0.0, 0.0]


@given(seed=some.integers(0, 1000), scale=some.floats(1e-6, 1e6))
def test_rotations_and_scales_are_not_seen(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    points, anchors = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (5, 9))
    rotation = scale * turned(6, generator)
    assert torch.allclose(relative(points @ rotation, anchors @ rotation), relative(points, anchors), atol=1e-9)


def test_a_head_reads_another_encoder() -> None:
    generator = torch.Generator().manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 6)).double()
    other = nn.Sequential(*encoder, turn := nn.Linear(6, 6, bias=False).double())
    turn.weight.data = 3.0 * turned(6, generator)
    anchors = torch.randn(10, 4, generator=generator, dtype=torch.float64)
    head = nn.Linear(10, 3).double()
    inputs = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    wanted = head(RelativeRepresentation(encoder, anchors)(inputs))
    assert torch.allclose(stitch(other, anchors, head)(inputs), wanted, atol=1e-9)
    # Which is no matter of course: absolute encodings do not fit another head.
    assert (encoder(inputs) - other(inputs)).abs().max() > 0.1


def test_gradients_pass_through_samples_and_anchors() -> None:
    encoder, anchors = nn.Linear(2, 2, bias=False), tensor([[1.0, 0.0]])
    encoder.weight.data = tensor([[1.0, 0.0], [0.0, 2.0]])
    module = RelativeRepresentation(encoder, anchors)
    module(tensor([[1.0, 0.0]])).sum().backward()
    assert encoder.weight.grad is not None and encoder.weight.grad.abs().max() < 1e-6  # at its largest, whatever W is
    module(tensor([[0.0, 1.0]])).sum().backward()
    assert encoder.weight.grad.abs().max() > 0.1
    assert "anchors" in module.state_dict()


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigurationError, match="width 3 have no cosine with anchors of width 2"):
        relative(torch.zeros(1, 3), torch.zeros(1, 2))
    with pytest.raises(ConfigurationError, match="at least one sample"):
        RelativeRepresentation(nn.Identity(), torch.zeros(0, 2))
