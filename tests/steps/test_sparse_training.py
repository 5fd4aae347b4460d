"""Sparse training: who is selected, and that the others stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.steps.pairs import setting
from torch import nn, tensor

import accord
from accord.aggregation import UPGrad
from accord.errors import ConfigurationError
from accord.steps import SparseTraining


def test_each_neuron_keeps_its_strongest_connections() -> None:
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(tensor([[0.1, -3.0, 2.0, 0.0], [0.01, 0.03, -0.04, 0.02]]))
    mask, bias = SparseTraining(layer.parameters(), share=0.5).masks()
    # The second neuron's are all smaller than the first one's smallest but one, and count all the same.
    assert mask.tolist() == [[False, True, True, False], [False, True, True, False]]
    assert bias.all()
    assert SparseTraining(layer.parameters(), share=0.01).masks()[0].sum(dim=1).tolist() == [1, 1]
    assert SparseTraining(layer.parameters(), share=1.0).selected.all()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_selection_against_sorting(share: float) -> None:
    layer = nn.Conv2d(3, 5, 3)
    (mask, _) = SparseTraining(layer.parameters(), share).masks()
    rows = layer.weight.detach().abs().flatten(1).numpy()
    count = round(share * 27)
    for row, chosen in zip(rows, mask.flatten(1).numpy(), strict=True):
        assert chosen.sum() == count
        assert set(np.flatnonzero(chosen)) == set(np.argsort(row)[-count:])


def test_selection_by_gradient() -> None:
    layer = nn.Linear(3, 1, bias=False)
    with pytest.raises(ConfigurationError, match=r"\.grad"):
        SparseTraining(layer.parameters(), by="gradient")
    layer.weight.grad = tensor([[0.5, -2.0, 1.0]])
    assert SparseTraining(layer.parameters(), share=0.3, by="gradient").selected.tolist() == [False, True, False]


OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_others_stay_bit_for_bit_and_the_selected_move_as_ever(name: str) -> None:
    given, other = setting(), setting()
    for each, sparse in ((given, True), (other, False)):
        trunk = list(each.model.trunk.parameters())
        start = [p.detach().clone() for p in trunk]
        masks = SparseTraining(trunk, share=0.4).masks()
        optimiser = OPTIMISERS[name](each.model.parameters())
        if sparse:
            SparseTraining(trunk, share=0.4).attach(optimiser)
        for _ in range(3):
            optimiser.zero_grad()
            accord.backward(each.losses(), shared=trunk, balancer=UPGrad())
            optimiser.step()
            if not sparse:
                # The reference: a plain loop that puts the frozen numbers back, optimiser state and all.
                with torch.no_grad():
                    for p, s, m in zip(trunk, start, masks, strict=True):
                        p[~m] = s[~m]
        for p, s, m in zip(trunk, start, masks, strict=True):
            assert torch.equal(p[~m], s[~m])
            assert (p[m] != s[m]).all()
    for one, two in zip(given.model.parameters(), other.model.parameters(), strict=True):
        # Elementwise optimisers move a selected weight by its own gradients alone.
        assert torch.allclose(one, two, rtol=1e-12, atol=1e-14)


def test_it_resumes_with_the_selection_it_had() -> None:
    given, later = setting(), setting()
    trunk = list(given.model.trunk.parameters())
    first = SparseTraining(trunk, share=0.4)
    with torch.no_grad():
        for p in later.model.trunk.parameters():
            p.copy_(torch.rand(p.shape, generator=torch.Generator().manual_seed(5), dtype=p.dtype))
    second = SparseTraining(later.model.trunk.parameters(), share=0.4)
    assert not torch.equal(first.selected, second.selected)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.selected, second.selected)
    assert not list(first.parameters()), "the trunk's parameters are the trunk's"


def test_parameters_without_gradient_are_left_alone() -> None:
    given = setting()
    optimiser = torch.optim.SGD(given.model.parameters(), lr=0.1)
    SparseTraining(given.model.trunk.parameters()).attach(optimiser)
    start = given.model.trunk[0].weight.detach().clone()
    optimiser.step()
    assert torch.equal(given.model.trunk[0].weight, start)


def test_options_are_checked() -> None:
    layer = nn.Linear(2, 2)
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigurationError, match="share"):
            SparseTraining(layer.parameters(), share)
    with pytest.raises(ConfigurationError, match="magnitude"):
        SparseTraining(layer.parameters(), by="magnitud")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="empty"):
        SparseTraining([])
