"""Editing predictions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn, tensor

from accord.errors import ConfigurationError, DataError
from accord.merging import LogitDifference, logit_arithmetic, logit_difference, reversed_objectives


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


def test_reversed_objectives_by_hand() -> None:
    forget, labels = tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]).log(), tensor([[1, -100]])
    retain = tensor([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]).log()
    # log 4 for the one label; KL(uniform | p) = (log 2/3 + 2 log 4/3) / 3 for the first row, 0 for the second.
    apart = (math.log(2 / 3) + 2 * math.log(4 / 3)) / 3 / 2
    loss = reversed_objectives(forget, labels, retain, 2.0).item()
    assert loss == pytest.approx(math.log(4) + 2 * apart, rel=1e-5)


def test_an_assistant_takes_away_what_it_learned_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (400,), generator=generator)
    inputs = 2.5 * torch.randn(4, 6, generator=generator)[labels] + torch.randn(400, 6, generator=generator)
    secret = labels == 3

    def fitted(loss: Any) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
            optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
            for _ in range(80):
                optimiser.zero_grad()
                loss(net).backward()
                optimiser.step()
        return net

    model = fitted(lambda net: nn.functional.cross_entropy(net(inputs), labels))
    assistant = fitted(lambda net: reversed_objectives(net(inputs[secret]), labels[secret], net(inputs[~secret])))
    # Without a floor: where the model is certain, nothing else would be left to say instead.
    edited = LogitDifference(model, assistant, 2.0, floor=0.0)
    before, after = (module(inputs).argmax(1) == labels for module in (model, edited))
    assert before[secret].float().mean() > 0.9 and before[~secret].float().mean() > 0.9
    assert after[secret].float().mean() < 0.3 and after[~secret].float().mean() > before[~secret].float().mean() - 0.02


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
