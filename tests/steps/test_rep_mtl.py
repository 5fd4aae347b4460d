"""Rep-MTL against its formulas written out, and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.steps.pairs import Setting, setting
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError
from accord.steps import RepMTL
from accord.steps.rep_mtl import entropy_of, misalignment


def test_entropy_by_hand() -> None:
    # Two tasks, two samples, two channels, one place. Channel means 1 and 3; then 2 and 0.
    saliencies = tensor([[[[0.0], [2.0]], [[1.0], [3.0]]], [[[-3.0], [-3.0]], [[1.0], [-1.0]]]])
    first = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy_of(saliencies).item() == pytest.approx(first / 2)
    assert entropy_of(torch.zeros(2, 1, 3, 4)).item() == 0.0


def affinities_written_out(saliencies: np.ndarray, tau: float) -> float:
    """Equations 7 to 9 of the paper, with every matrix formed."""
    tasks, samples, _, _ = saliencies.shape
    anchors = []
    for b in range(samples):
        mean = saliencies[:, b].mean(axis=2).T  # [C, T]
        anchor = (mean @ mean.T).flatten()
        anchors.append(anchor / np.linalg.norm(anchor))
    total = 0.0
    for b in range(samples):
        apart = sum(math.exp(anchors[b] @ anchors[k] / tau) for k in range(samples) if k != b)
        for t in range(tasks):
            affinity = (saliencies[t, b] @ saliencies[t, b].T).flatten()
            total -= math.log(math.exp(anchors[b] @ affinity / np.linalg.norm(affinity) / tau) / apart)
    return total / (samples * tasks)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 6, 2), (1, 2, 3, 1), (2, 5, 2, 2)])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_alignment_as_the_paper_writes_it(shape: tuple[int, ...], scale: float) -> None:
    saliencies = np.random.default_rng(0).standard_normal(shape)
    found = misalignment(torch.from_numpy(saliencies * scale).float(), 0.3).item()
    assert found == pytest.approx(affinities_written_out(saliencies, 0.3), rel=1e-4)


def test_alignment_where_there_is_little() -> None:
    assert misalignment(torch.ones(2, 1, 3, 4), 0.1).item() == 0.0
    saliencies = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    saliencies[0, 1] = 0.0
    saliencies[:, 2] = 0.0
    saliencies.requires_grad_()
    for penalty in (misalignment(saliencies, 0.1), entropy_of(saliencies)):
        (slope,) = torch.autograd.grad(penalty, saliencies)
        assert slope.isfinite().all() and slope.any()


def penalised(given: Setting, rule: RepMTL) -> Tensor:
    shared = given.model.trunk(given.x)
    outputs = [head(shared).squeeze(1) for head in given.model.heads]
    losses = [(outputs[0] - given.y[0]).square().mean(), (outputs[1] - given.y[1]).exp().mean(), None]
    return rule(losses, shared)


@pytest.mark.parametrize(("entropy", "alignment"), [(1.0, 0.0), (0.0, 1.0), (0.9, 0.9)])
def test_the_gradient_in_trunk_and_heads(entropy: float, alignment: float) -> None:
    given, rule = setting(), RepMTL(entropy, alignment, temperature=0.5)
    parameters = list(given.model.parameters())
    found = torch.autograd.grad(penalised(given, rule), parameters, allow_unused=True)
    generator = torch.Generator().manual_seed(3)
    for parameter, slope in zip(parameters, found, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        start = parameter.detach().clone()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.copy_(start + sign * 1e-6 * direction)
            values.append(penalised(given, rule).item())
        with torch.no_grad():
            parameter.copy_(start)
        wanted = 0.0 if slope is None else float((slope * direction).sum())
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(wanted, rel=1e-4, abs=1e-7)


def test_the_value_is_that_of_both_parts_on_the_losses_gradients() -> None:
    trunk, heads = nn.Conv2d(2, 4, 3), [nn.Conv2d(4, 1, 1), nn.Linear(4, 1)]
    x = torch.randn(3, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    shared = torch.tanh(trunk(x))
    losses = {"map": heads[0](shared).square().mean(), "mean": heads[1](shared.mean(dim=(2, 3))).exp().mean()}
    parts = torch.stack(
        torch.autograd.grad(losses["map"], shared, retain_graph=True)
        + torch.autograd.grad(losses["mean"], shared, retain_graph=True)
    )
    parts = parts.flatten(3)
    wanted = 0.9 * entropy_of(parts) + 0.4 * affinities_written_out(parts.double().numpy(), 0.1)
    assert RepMTL(alignment=0.4)(losses, shared).item() == pytest.approx(wanted.item(), rel=1e-4)
    # Channels last.
    moved = shared.movedim(1, -1)
    losses = [heads[0](moved.movedim(-1, 1)).square().mean(), heads[1](moved.mean(dim=(1, 2))).exp().mean()]
    assert RepMTL(alignment=0.4, channels=-1)(losses, moved).item() == pytest.approx(wanted.item(), rel=1e-4)


def test_descending_it_parts_the_tasks() -> None:
    given, rule = setting(), RepMTL(entropy=1.0, alignment=0.0)
    optimiser = torch.optim.SGD(given.model.parameters(), lr=0.5)
    start = penalised(given, rule).item()
    for _ in range(30):
        optimiser.zero_grad()
        penalised(given, rule).backward()
        optimiser.step()
    assert penalised(given, rule).item() < 0.7 * start


def test_what_cannot_be_meant() -> None:
    shared = torch.ones(2, 3, requires_grad=True)
    assert RepMTL()([torch.ones(1, requires_grad=True).sum(), None], shared).item() == 0.0
    with pytest.raises(ConfigurationError, match=r"\[2, 3\]"):
        RepMTL()([shared.sum()], shared.detach())
    for options in ({"entropy": -1.0}, {"alignment": math.nan}, {"temperature": 0.0}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            RepMTL(**options)
