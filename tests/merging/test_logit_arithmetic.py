"""Editing predictions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn, tensor

from accord.errors import ConfigurationError, DataError
from accord.merging import LogitDifference, logit_arithmetic, logit_difference


def test_by_hand() -> None:
    # p = (1/2, 1/4, 1/4), a = (1/2, 1/4, 1/4) reversed; p / a = (2, 1, 1/2), which sums to 7/2.
    model, assistant = tensor([0.5, 0.25, 0.25]).log(), tensor([0.25, 0.25, 0.5]).log()
    assert logit_difference(model, assistant, 1.0).exp().tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


@given(seed=some.integers(0, 1000), shift=some.floats(-50, 50), strength=some.floats(0, 3))
def test_what_holds_for_all(seed: int, shift: float, strength: float) -> None:
    model, assistant = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    edited = logit_difference(model, assistant, strength)
    # Probabilities; blind to what softmax is blind to; an assistant that knows nothing changes nothing.
    assert torch.allclose(edited.exp().sum(-1), torch.ones(4, dtype=torch.float64))
    assert torch.allclose(edited, logit_difference(model + shift, assistant - shift, strength))
    assert torch.allclose(logit_difference(model, torch.zeros_like(model), strength), model.log_softmax(-1))
    assert torch.allclose(logit_difference(model, assistant, 0.0), model.log_softmax(-1))
    small, tuned = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    assert torch.allclose(logit_arithmetic(small, plus=[tuned], minus=[small]), tuned.log_softmax(-1))


def test_faint_classes_do_not_come_up() -> None:
    model, assistant = tensor([0.9, 0.0999, 1e-4]).log(), tensor([0.5, 0.5 - 1e-9, 1e-9]).log()
    assert logit_difference(model, assistant, 1.0).argmax() == 2
    filtered = logit_difference(model, assistant, 1.0, floor=0.01)
    assert filtered[2] == -math.inf and filtered.exp()[:2].tolist() == pytest.approx([0.9, 0.1], abs=1e-3)
    impossible = tensor([0.0, -math.inf, 0.0])
    assert logit_difference(impossible, impossible, 1.0).exp().tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_a_module_with_an_assistant() -> None:
    model, assistant = nn.Linear(3, 4), nn.Linear(3, 4)
    edited = LogitDifference(model, assistant, strength=0.5, floor=0.0)
    inputs = torch.ones(2, 3)
    assert torch.allclose(edited(inputs), logit_difference(model(inputs), assistant(inputs), 0.5))
    assert {name.split(".")[0] for name in edited.state_dict()} == {"model", "assistant"}
    with pytest.raises(ConfigurationError, match=r"predicts \[2, 4\] and its assistant \[2, 5\]"):
        LogitDifference(model, nn.Linear(3, 5))(inputs)
    with pytest.raises(DataError, match="returned tuple, neither a tensor nor"):
        LogitDifference(nn.GRU(3, 4), assistant)(inputs)
    with pytest.raises(ConfigurationError, match="floor must lie"):
        LogitDifference(model, assistant, floor=1.0)
