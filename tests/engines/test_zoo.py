"""Every engine on every model of the zoo, against plain autograd and against each other."""

import pytest
import torch
from tests.engines import balancers, zoo

import accord
from accord.engines import Batched, Sketch, _rules, layerwise
from accord.errors import ConfigurationError

ENGINES = ["loop", "auto", "batched", pytest.param(Batched(chunk=2), id="batched-by-2")]
DEFERRED = ["gramian", "representation", "sketch"]  # without a Jacobian
NO_REPRESENTATION = {"vector_of_losses", "one_objective_per_sample", "same_loss_twice", "own_experts_listed_as_shared"}


def oracle(case: zoo.Case) -> torch.Tensor:
    """Row by row with an ordinary backward of each loss."""
    rows = []
    for loss in case.losses.values():
        for parameter in case.shared:
            parameter.grad = None
        loss.backward(retain_graph=True)
        pieces = [p.grad if p.grad is not None else torch.zeros_like(p) for p in case.shared if p.requires_grad]
        rows.append(torch.cat([piece.reshape(-1).double() for piece in pieces]))
    case.module.zero_grad()
    return torch.stack(rows)


def tolerance(case: zoo.Case) -> float:
    return 2e-2 if any(p.dtype == torch.bfloat16 for p in case.shared) else 2e-6


def close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float, scale: float | None = None) -> None:
    scale = scale or wanted.abs().max().item() or 1.0
    assert found.shape == wanted.shape
    assert (found.double() - wanted.double()).abs().max().item() <= tolerance * scale


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("name", zoo.ZOO)
def test_jacobian_and_gramian_match_plain_autograd(name, engine):
    case = zoo.build(name)
    wanted = oracle(case)
    close(accord.jacobian(case.losses, case.shared, engine=engine), wanted, tolerance(case))
    gramian = accord.gramian(case.losses, case.shared, engine=engine)
    assert gramian.dtype == torch.float64
    close(gramian, wanted @ wanted.T, 10 * tolerance(case))
    assert all(p.grad is None for p in case.module.parameters())


@pytest.mark.parametrize("name", zoo.ZOO)
def test_layerwise_gramian_matches_plain_autograd(name, monkeypatch):
    case = zoo.build(name)
    wanted = oracle(case)
    for cheaper in (_rules.sampled_is_cheaper, lambda *_: True, lambda *_: False):
        monkeypatch.setattr(layerwise, "sampled_is_cheaper", cheaper)
        close(accord.gramian(case.losses, case.shared, engine="gramian"), wanted @ wanted.T, 10 * tolerance(case))
    assert all(p.grad is None for p in case.module.parameters())
    with pytest.raises(ConfigurationError, match='never forms the Jacobian; use engine="loop"'):
        accord.jacobian(case.losses, case.shared, engine="gramian")


@pytest.mark.parametrize("name", zoo.ZOO)
def test_sketched_gramian_is_as_near_as_stated(name):
    case = zoo.build(name)
    wanted = oracle(case)
    wanted = wanted @ wanted.T
    engine, draws = Sketch(4), 6
    found = sum(accord.gramian(case.losses, case.shared, engine=engine) for _ in range(draws)) / draws
    # Five times the largest standard error of the mean of so many draws, with two random directions each.
    norms = wanted.diagonal().sqrt()
    bound = (5 / draws**0.5 + 10 * tolerance(case)) * norms[:, None] * norms
    assert ((found - wanted).abs() <= bound + 1e-12).all()
    assert all(p.grad is None for p in case.module.parameters())


def test_grouped_is_exact_or_refuses():
    refused = {}
    for name in zoo.ZOO:
        case = zoo.build(name)
        wanted = oracle(case)
        try:
            found = accord.gramian(case.losses, case.shared, engine="grouped")
        except ConfigurationError as error:
            refused[name] = str(error)
        else:
            close(found, wanted @ wanted.T, 10 * tolerance(case))
    assert {"one_domain_per_task", "one_task", "own_experts_listed_as_shared"}.isdisjoint(refused)
    assert "sample 0 of the batch belongs to the tasks 't0' and 't" in refused["mlp"]
    # Engines that take every one of these, see below; with group=, too.
    assert all(message.endswith('use engine="auto" or engine="loop"') for message in refused.values())


@pytest.mark.parametrize("engine", [*ENGINES, *DEFERRED], ids=str)
@pytest.mark.parametrize("name", zoo.ZOO)
def test_mean_and_sum_are_those_of_the_losses(name, engine):
    if engine == "representation" and name in NO_REPRESENTATION:
        case = zoo.build(name)
        with pytest.raises(ConfigurationError, match=r"no representation can be told.*at=\[representation\]"):
            accord.backward(case.losses, case.shared, balancers.Mean(), engine=engine)
        return
    for balancer, reduce in (
        (balancers.Mean(), torch.mean),
        (balancers.Sum(), torch.sum),
        (balancers.Equal(), torch.mean),
    ):
        case = zoo.build(name)
        reduce(torch.stack(list(case.losses.values()))).backward(retain_graph=True)
        wanted = [p.grad for p in case.module.parameters()]
        scale = max(gradient.abs().max().item() for gradient in wanted if gradient is not None)
        case.module.zero_grad()
        accord.backward(case.losses, shared=case.shared, balancer=balancer, engine=engine)
        for parameter, gradient in zip(case.module.parameters(), wanted, strict=True):
            assert (parameter.grad is None) == (gradient is None)
            if gradient is not None:
                assert parameter.grad.dtype == parameter.dtype
                close(parameter.grad, gradient, tolerance(case), scale)
