"""Aggregators that decide what the heads descend: the heads' gradients are their weights times those of the losses."""

from __future__ import annotations

import math

import pytest
import torch
from tests.engines import balancers, zoo
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import accord
from accord.aggregation import DBMTL, ExcessMTL, Mean, PerGroup
from accord.balancer import HeadWeights
from accord.errors import AccordError, ConfigurationError
from accord.registry import build, registered

ENGINES = ["loop", "batched", "gramian"]


class Weighted(balancers.Given, HeadWeights):
    """Weights of the test's choosing for trunk and heads, and a record of what it was shown."""

    def __init__(self, weights: list[float], heads: list[float]) -> None:
        super().__init__(weights)
        self.heads_receive = torch.tensor(heads)
        self.shown: list[tuple[list[float], list[bool]]] = []

    def head_weights(self, losses: Tensor, *, active: Tensor) -> Tensor:
        self.shown.append((losses.tolist(), active.tolist()))
        return self.heads_receive


def parts() -> tuple[nn.Parameter, list[nn.Parameter], list[Tensor]]:
    """A trunk of one number, 2, under heads 3 and 5: losses 6 and 100 with slopes 2 and 2 * 10 * 2 in the heads."""
    trunk, heads = nn.Parameter(torch.tensor(2.0)), [nn.Parameter(torch.tensor(v)) for v in (3.0, 5.0)]
    return trunk, heads, [trunk * heads[0], (trunk * heads[1]) ** 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_heads_by_hand(engine: str) -> None:
    trunk, heads, losses = parts()
    aggregator = Weighted([1.0, 0.5], [0.25, 10.0])
    step = accord.backward(losses, shared=[trunk], balancer=aggregator, engine=engine)
    assert [head.grad.item() for head in heads] == [0.25 * 2.0, 10.0 * 40.0]  # pyright: ignore[reportOptionalMemberAccess]
    assert trunk.grad is not None and trunk.grad.item() == 1.0 * 3.0 + 0.5 * 100.0
    assert aggregator.shown == [([6.0, 100.0], [True, True])]
    assert step.weights is not None and step.weights.tolist() == [1.0, 0.5]


def test_a_parameter_of_several_heads_receives_the_weighted_sum() -> None:
    case = zoo.build("head_shared_by_two_tasks")
    weights = torch.tensor([0.7, 0.1, 2.0])
    shared = {id(parameter) for parameter in case.shared}
    others = [parameter for parameter in case.module.parameters() if id(parameter) not in shared]
    wanted = torch.autograd.grad(torch.stack(list(case.losses.values())) @ weights, others, retain_graph=True)
    accord.backward(case.losses, case.shared, Weighted([1.0, 1.0, 1.0], weights.tolist()))
    for parameter, gradient in zip(others, wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("missing", [None, torch.tensor(math.nan)])
@pytest.mark.filterwarnings("ignore:task '0' is left out")
def test_an_inactive_task_has_no_say(missing: Tensor | None) -> None:
    trunk, heads, losses = parts()
    aggregator = Weighted([1.0, 0.5], [math.nan, 10.0])
    accord.backward([missing, losses[1]], shared=[trunk], balancer=aggregator)
    assert heads[0].grad is None
    assert heads[1].grad is not None and heads[1].grad.item() == 400.0
    assert aggregator.shown[0][1] == [False, True]


@pytest.mark.parametrize(
    "room, name", [("weighting", "fixed"), *(("aggregation", name) for name in registered("aggregation"))]
)
def test_absent_tasks_slow_trunk_and_heads_alike(room: str, name: str) -> None:
    trunk, heads, losses = parts()
    accord.backward([None, losses[1], None, None], shared=[trunk], balancer=build(name, rooms=(room,)))
    assert trunk.grad is not None and heads[1].grad is not None
    assert trunk.grad.item() / 100.0 == pytest.approx(heads[1].grad.item() / 40.0)
    assert name == "dbmtl" or trunk.grad.item() == pytest.approx(100.0)


def test_absent_tasks_slow_groups_and_heads_alike() -> None:
    trunk, heads, losses = parts()
    accord.backward([None, losses[1]], shared={"all": [trunk]}, balancer=PerGroup(Mean(), ["all"]))
    assert trunk.grad is not None and trunk.grad.item() == pytest.approx(100.0)
    assert heads[1].grad is not None and heads[1].grad.item() == pytest.approx(40.0)


def test_heads_behind_reentrant_checkpoints_descend_the_mean_of_the_tasks_that_are_there() -> None:
    trunk, heads = zoo.mlp_trunk(), [nn.Linear(5, 1) for _ in range(2)]
    features = checkpoint(trunk, torch.randn(6, 4, requires_grad=True), use_reentrant=True)
    losses = [head(features).pow(2).mean() for head in heads]
    wanted = torch.autograd.grad(losses[1], heads[1].weight, retain_graph=True)[0]
    accord.backward([None, losses[1]], trunk.parameters(), Mean())
    torch.testing.assert_close(heads[1].weight.grad, wanted)


def test_weights_that_are_not_finite_change_nothing() -> None:
    trunk, heads, losses = parts()
    with pytest.raises(AccordError, match="head_weights returned numbers that are not finite"):
        accord.backward(losses, shared=[trunk], balancer=Weighted([1.0, 0.5], [math.inf, 1.0]))
    assert trunk.grad is None and heads[1].grad is None


def test_reentrant_checkpoints_are_refused() -> None:
    trunk, head = zoo.mlp_trunk(), nn.Linear(5, 1)
    features = checkpoint(trunk, torch.randn(6, 4, requires_grad=True), use_reentrant=True)
    losses = [head(features).pow(2).mean(), features.pow(2).mean()]  # pyright: ignore[reportOptionalMemberAccess,reportAttributeAccessIssue]
    with pytest.raises(ConfigurationError, match=r"ExcessMTL decides what the heads descend.*use_reentrant=False"):
        accord.backward(losses, trunk.parameters(), ExcessMTL())
    assert all(parameter.grad is None for parameter in [*trunk.parameters(), *head.parameters()])


def test_db_mtl_is_the_step_on_logarithms() -> None:
    found = []
    for whole in (True, False):
        torch.manual_seed(0)
        aggregator, rows = DBMTL(beta=0.5, logarithm=whole), []
        case = zoo.build("mlp")
        for _ in range(3):
            losses = list(case.losses.values())
            given = losses if whole else [loss.log() for loss in losses]
            accord.backward(given, case.shared, aggregator, retain_graph=True)
            rows += [p.grad.clone() for p in case.module.parameters() if p.grad is not None]
        found.append(rows)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_excess_mtl_heads_descend_its_weighted_loss() -> None:
    aggregator = ExcessMTL(eta=1.0)
    for shrink in (1.0, 0.1):  # the first task nears its best
        trunk, _, losses = parts()
        accord.backward([shrink * losses[0], losses[1]], shared=[trunk], balancer=aggregator)
    trunk, heads, losses = parts()
    accord.backward(losses, shared=[trunk], balancer=aggregator)
    weights = torch.softmax(aggregator.logits, dim=0).tolist()
    assert weights[1] > weights[0] + 0.1
    assert heads[0].grad is not None and heads[0].grad.item() == pytest.approx(weights[0] * 2.0)
    assert heads[1].grad is not None and heads[1].grad.item() == pytest.approx(weights[1] * 40.0)
    assert trunk.grad is not None and trunk.grad.item() == pytest.approx(weights[0] * 3.0 + weights[1] * 100.0)
