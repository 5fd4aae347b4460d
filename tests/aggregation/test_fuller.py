"""FULLER: weights from the last layer, and branches that move equally far."""

from __future__ import annotations

import pytest
import torch
from torch import nn, tensor

import accord
from accord.aggregation import FULLER, IMTLG, Mean, UPGrad
from accord.errors import ConfigurationError


def test_by_hand() -> None:
    # Columns: a branch of two numbers, one of one, a fused layer of two of which the last one decides the weights.
    rows = tensor([[3.0, 0.0, 1.0, 7.0, 1.0], [3.0, 8.0, 1.0, 5.0, 3.0]], dtype=torch.float64)
    # At the last column the gradients are 1 and 3: equal progress on both means weights 3/4 and 1/4.
    mixed = 0.75 * rows[0] + 0.25 * rows[1]
    assert FULLER(last=1)(rows).tolist() == pytest.approx(mixed.tolist())
    # Branches (3, 2) and (1): both get the mean of sqrt(13) and 1.
    long = 13**0.5
    level = (long + 1) / 2
    wanted = [3 * level / long, 2 * level / long, level, *mixed[3:].tolist()]
    assert FULLER([2, 1], last=1)(rows).tolist() == pytest.approx(wanted)
    assert FULLER([2, 1], tasks=Mean())(rows)[3:].tolist() == [6.0, 2.0]


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_branches_end_at_one_length_and_a_silent_one_stays_silent(scale: float) -> None:
    rows = torch.randn(3, 12, generator=torch.Generator().manual_seed(0)) * scale
    rows[:, :2] = 0.0
    rows[:, 2:5] *= 1e-3
    parts = FULLER([2, 3, 4])(rows).split([2, 3, 4, 3])
    lengths = [float(part.double().norm()) for part in parts]
    assert lengths[0] == 0.0 and lengths[1] > 0 and lengths[1] == pytest.approx(lengths[2])
    # Lengths 2 and 4: their mean is 3, and the silent branch is none of them.
    alone = tensor([[0.0, 0.0, 2.0, -4.0, 1.0]], dtype=torch.float64) * scale
    assert (FULLER([2, 1, 1])(alone) / scale).tolist() == pytest.approx([0.0, 0.0, 3.0, -3.0, 1.0])


def test_absent_tasks_are_absent_from_the_first_level() -> None:
    rows = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    active = tensor([True, False, True])
    spoiled = torch.where(active[:, None], rows, torch.nan)
    found = FULLER([2, 2], tasks=UPGrad(preference=[1, 5, 2]))(spoiled, active=active)
    wanted = FULLER([2, 2], tasks=UPGrad(preference=[1, 2]))(rows[active])
    assert found.tolist() == pytest.approx(wanted.tolist())


def test_it_is_the_calibration_of_what_is_propagated_into_the_branches() -> None:
    """Scaling the gradients that arrive at the ends of the branches, by hooks, gives the same update."""
    generator = torch.Generator().manual_seed(2)
    one, two, fuse = (nn.Linear(n, 3).double() for n in (4, 2, 6))
    for parameter in (*one.parameters(), *two.parameters(), *fuse.parameters()):
        nn.init.normal_(parameter, generator=generator)
    first, second = (torch.randn(5, n, generator=generator, dtype=torch.float64) for n in (4, 2))
    branches = [list(one.parameters()), list(two.parameters())]
    shared = [*branches[0], *branches[1], *fuse.parameters()]

    def losses(factors: list[float]) -> list[torch.Tensor]:
        ends = [one(first), two(second)]
        for end, factor in zip(ends, factors, strict=True):
            end.register_hook(lambda gradient, factor=factor: gradient * factor)
        joint = torch.tanh(fuse(torch.cat(ends, dim=1)))
        return [joint.square().mean(), (joint - 1).abs().mean()]

    sizes = [sum(p.numel() for p in branch) for branch in branches]
    accord.backward(losses([1.0, 1.0]), shared=shared, balancer=FULLER(sizes))
    found = torch.cat([p.grad.flatten() for p in shared if p.grad is not None])
    weights = IMTLG().weights(accord.gramian(losses([1.0, 1.0]), list(fuse.parameters())))
    plain = torch.autograd.grad((torch.stack(losses([1.0, 1.0])) * weights).sum(), shared)
    lengths = [torch.cat([g.flatten() for g in part]).norm() for part in (plain[:2], plain[2:4])]
    factors = [float(sum(lengths) / 2 / length) for length in lengths]
    hooked = torch.autograd.grad((torch.stack(losses(factors)) * weights).sum(), shared)
    assert torch.allclose(found, torch.cat([g.flatten() for g in hooked]), rtol=1e-10)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        FULLER([3, 3])(torch.ones(2, 6))
    with pytest.raises(ConfigurationError, match="do not fit"):
        FULLER([3], last=4)(torch.ones(2, 6))
    with pytest.raises(ConfigurationError, match="branches"):
        FULLER([3, 0])
    with pytest.raises(ConfigurationError, match="last"):
        FULLER(last=0)
