"""Flat regions: against the algorithm written out on copies, and what it leaves untouched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.steps.pairs import Pair, Setting, numbers, setting, slopes
from torch import Tensor, nn, tensor

from accord.aggregation import DBMTL, MGDA, Aggregator, Mean, PCGrad, UPGrad
from accord.errors import ConfigurationError, NonFiniteLossWarning
from accord.steps import FlatRegions


class Bowl(nn.Module):
    """Two quadratic losses of one shared and two own numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(tensor([3.0, 4.0], dtype=torch.float64))
        self.own = nn.ParameterList([nn.Parameter(tensor([2.0], dtype=torch.float64)) for _ in range(2)])

    def losses(self) -> list[Tensor]:
        squares = self.shared.square().sum() / 2
        return [squares + self.own[0].square().sum() / 2, 10 * squares + self.own[1].sum()]


def test_one_step_by_hand() -> None:
    # Both gradients point along (3, 4) / 5: with rho 1, at (3.6, 4.8) they are (3.6, 4.8) and ten times that.
    model = Bowl()
    FlatRegions(rho=1.0).backward(model.losses, model, [model.shared])
    assert model.shared.grad is not None
    assert model.shared.grad.tolist() == pytest.approx([5.5 * 3.6, 5.5 * 4.8])
    # The first head is at 3, halved by the mean; the second one's slope is 1 everywhere.
    assert [p.grad.item() for p in model.own if p.grad is not None] == pytest.approx([1.5, 0.5])
    # Without the second task the mean is the first.
    model = Bowl()
    FlatRegions(rho=1.0).backward(lambda: [model.losses()[0], None], model, [model.shared])
    assert model.shared.grad is not None and model.shared.grad.tolist() == pytest.approx([3.6, 4.8])
    assert model.own[0].grad is not None and model.own[0].grad.item() == pytest.approx(3.0)
    # Aggregated apart: MGDA takes the shorter of both gradients, and of both differences.
    model = Bowl()
    FlatRegions(MGDA(), rho=1.0).backward(model.losses, model, [model.shared])
    assert model.shared.grad is not None and model.shared.grad.tolist() == pytest.approx([3.6, 4.8])


def written_out(given: Setting, aggregator: Aggregator, rho: float, adaptive: bool) -> tuple[Tensor, list[Tensor]]:
    """The algorithm of the paper on copies of the model, task by task."""

    def gradient(model: Pair, task: int) -> tuple[list[Tensor], list[Tensor]]:
        copied = Setting(model, given.x, given.y)
        model.zero_grad()
        copied.losses()[task].backward()
        return [p.grad.clone() for p in model.trunk.parameters()], [
            p.grad.clone() for p in model.heads[task].parameters()
        ]

    low, sharp, heads = [], [], []
    for task in range(2):
        model = copy.deepcopy(given.model)
        trunk, own = gradient(model, task)
        low.append(numbers(trunk))
        for parameters, gradients in ((model.trunk.parameters(), trunk), (model.heads[task].parameters(), own)):
            parameters = list(parameters)
            sizes = [p.detach().abs() if adaptive else torch.ones_like(p) for p in parameters]
            norm = float(np.sqrt(sum(float((s * g).square().sum()) for s, g in zip(sizes, gradients, strict=True))))
            with torch.no_grad():
                for p, s, g in zip(parameters, sizes, gradients, strict=True):
                    p += rho * s**2 * g / norm
        trunk, own = gradient(model, task)
        sharp.append(numbers(trunk))
        heads.append(numbers(own) / 2)
    rows, flat = torch.stack(low), torch.stack(sharp) - torch.stack(low)
    return copy.deepcopy(aggregator)(rows) + copy.deepcopy(aggregator)(flat), heads


@pytest.mark.parametrize("aggregator", [Mean(), UPGrad(), PCGrad(seed=3), DBMTL()], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize(("rho", "adaptive"), [(0.05, False), (0.5, True)])
def test_it_follows_the_algorithm(aggregator: Aggregator, rho: float, adaptive: bool) -> None:
    given = setting()
    wanted, heads = written_out(given, aggregator, rho, adaptive)
    before = numbers(given.model.parameters())
    flat = FlatRegions(aggregator, rho=rho, adaptive=adaptive)
    step = flat.backward(given.losses, given.model, given.model.trunk.parameters())
    if not isinstance(aggregator, DBMTL):  # its heads descend logarithms
        for head, want in zip(given.model.heads, heads, strict=True):
            assert torch.allclose(slopes(head.parameters()), want, rtol=1e-10)
        assert torch.allclose(slopes(given.model.trunk.parameters()), wanted, rtol=1e-9, atol=1e-12)
    assert torch.equal(numbers(given.model.parameters()), before)
    assert step.active.all() and step.losses.tolist() == pytest.approx([loss.item() for loss in given.losses()])


def test_calls_accumulate() -> None:
    given = setting()
    for _ in range(2):
        FlatRegions().backward(given.losses, given.model, given.model.trunk.parameters())
    twice = slopes(given.model.parameters())
    given.model.zero_grad()
    FlatRegions().backward(given.losses, given.model, given.model.trunk.parameters())
    assert torch.allclose(twice, 2 * slopes(given.model.parameters()))


def test_dropout_masks_and_running_statistics() -> None:
    """Without sharpness all passes are one pass, if they draw alike; buffers move once, generators too."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2)).double()
    x = torch.randn(16, 3, dtype=torch.float64)

    def losses() -> dict[str, Tensor]:
        outputs = model(x)
        return {"a": outputs[:, 0].square().mean(), "b": (outputs[:, 1] - 1).square().mean()}

    reference = copy.deepcopy(model)
    torch.manual_seed(7)
    loss = sum(losses().values())
    (loss / 2).backward()
    state, plain = torch.get_rng_state(), slopes(model.parameters())
    statistics = model[1].running_mean.clone()
    model.load_state_dict(reference.state_dict())
    model.zero_grad()
    torch.manual_seed(7)
    FlatRegions(rho=1e-9).backward(losses, model, model[0].parameters())
    assert torch.get_rng_state().equal(state)
    assert torch.equal(model[1].running_mean, statistics) and model[1].num_batches_tracked == 1
    assert torch.allclose(slopes(model.parameters()), plain, atol=1e-7)


def test_absent_and_broken_tasks() -> None:
    given = setting()
    trunk = list(given.model.trunk.parameters())

    def losses() -> dict[str, Tensor | None]:
        first, second = given.losses()
        return {"first": first, "second": second * torch.nan, "third": None}

    with pytest.warns(NonFiniteLossWarning, match="'second'"):
        step = FlatRegions(UPGrad()).backward(losses, given.model, trunk)
    assert step.active.tolist() == [True, False, False] and set(step.skipped) == {"second", "third"}
    assert slopes(given.model.parameters()).isfinite().all() and slopes(trunk).any()
    assert given.model.heads[1].weight.grad is None
    given.model.zero_grad()
    step = FlatRegions().backward(lambda: {"first": given.losses()[0]}, given.model, trunk, tasks=["zero", "first"])
    assert step.names == ("zero", "first") and step.active.tolist() == [False, True]


def test_a_failing_closure_leaves_the_weights() -> None:
    given = setting()
    before, calls = numbers(given.model.parameters()), []

    def losses() -> list[Tensor]:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the data loader is gone")
        return given.losses()

    with pytest.raises(RuntimeError, match="gone"):
        FlatRegions().backward(losses, given.model, given.model.trunk.parameters())
    assert torch.equal(numbers(given.model.parameters()), before) and not slopes(given.model.parameters()).any()


def test_it_leaves_the_sharper_of_two_minima() -> None:
    """Two tasks share a sharp minimum at 0 and a flat one at 4: it leaves the one that plain averaging falls into."""

    class Valley(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(tensor([0.15], dtype=torch.float64))

        def losses(self) -> list[Tensor]:
            sharp = (self.x / 0.5).square()
            flat = 0.05 * (self.x - 4).square()
            basin = -torch.logsumexp(torch.stack([-10 * sharp, -10 * flat]), dim=0).sum() / 10
            return [basin, 2 * basin]

    ends = []
    for rule in (FlatRegions(rho=1e-6), FlatRegions(rho=1.5)):
        model = Valley()
        optimiser = torch.optim.SGD([model.x], lr=0.1)
        for _ in range(30):
            optimiser.zero_grad()
            rule.backward(model.losses, model, [model.x])
            optimiser.step()
        ends.append(model.x.item())
    assert abs(ends[0]) < 0.1 and ends[1] > 0.6


def test_state_and_options() -> None:
    given = setting()
    first, second = (FlatRegions(DBMTL()) for _ in range(2))
    first.backward(given.losses, given.model, given.model.trunk.parameters())
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.low.average, first.low.average) and second.flat.average.any()
    assert not torch.equal(first.low.average, first.flat.average)
    for rho in (0.0, float("inf")):
        with pytest.raises(ConfigurationError, match="rho"):
            FlatRegions(rho=rho)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_units_of_the_losses_play_no_part(scale: float) -> None:
    given = setting()
    given.model.float()
    given.x, given.y = given.x.float(), given.y.float()
    found = []
    for factor in (1.0, scale):
        given.model.zero_grad()
        FlatRegions(UPGrad()).backward(
            lambda factor=factor: [loss * factor for loss in given.losses()],
            given.model,
            given.model.trunk.parameters(),
        )
        found.append(slopes(given.model.parameters()).double() / factor)
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-4 * float(found[0].abs().max()))
