"""What may be passed, and what people are told when something else is."""

import math

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.engines import Batched
from accord.errors import ConfigurationError, NonFiniteLossWarning

WEIGHT = nn.Parameter(torch.tensor([1.0, 2.0]))
FROZEN = nn.Parameter(torch.ones(3), requires_grad=False)


def losses():
    return [WEIGHT.sum(), WEIGHT.prod()]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (lambda: losses(), ("0", "1")),
        (lambda: tuple(losses()), ("0", "1")),
        (lambda: torch.stack(losses()), ("0", "1")),
        (lambda: torch.cat([loss[None] for loss in losses()]), ("0", "1")),
        (lambda: torch.stack(losses()) * 1.0, ("0", "1")),
        (lambda: dict(zip("ab", losses(), strict=True)), ("a", "b")),
    ],
)
def test_every_form_of_losses_gives_the_same_rows(given, names):
    torch.testing.assert_close(accord.jacobian(given(), [WEIGHT]), torch.tensor([[1.0, 1.0], [2.0, 1.0]]))
    for engine in ("auto", "loop", "batched", "gramian"):
        step = accord.backward(given(), [WEIGHT], balancers.Mean(), engine=engine)
        assert step.names == names


def test_names_order_a_mapping_and_name_a_sequence():
    a, b = losses()
    rows = accord.jacobian({"b": b, "a": a}, [WEIGHT], tasks=["a", "missing", "b"])
    assert rows.tolist() == [[1.0, 1.0], [0.0, 0.0], [2.0, 1.0]]
    assert accord.backward([a, b], [WEIGHT], balancers.Mean(), tasks=["x", "y"]).names == ("x", "y")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: WEIGHT.sum(), r"shape \[\]; pass one scalar per task"),
        (lambda: torch.ones(2, 2), r"shape \[2, 2\]"),
        (lambda: torch.ones(0), r"shape \[0\]"),
        (list, "empty"),
        (dict, "empty"),
        (lambda: [WEIGHT * 2], r"task '0' has shape \[2\]; reduce it"),
        (lambda: {"click": WEIGHT * 2}, r"task 'click' has shape \[2\]"),
        (lambda: [WEIGHT.sum(), 0.5], r"task '1' is a float, not a tensor.*\.item\(\)"),
        (lambda: 3.0, "losses is a float"),
        (lambda: "abc", "losses is a str"),
        (lambda: {WEIGHT.sum()}, "losses is a set"),
        (lambda: [WEIGHT.sum() * 1j], "complex"),
        (lambda: [WEIGHT.sum().detach()], r"none of the 1 losses has a graph.*no_grad"),
        (lambda: torch.ones(3), "none of the 3 losses has a graph"),
    ],
)
def test_wrong_losses(given, message):
    for call in (
        lambda: accord.jacobian(given(), [WEIGHT]),
        lambda: accord.gramian(given(), [WEIGHT]),
        lambda: accord.backward(given(), [WEIGHT], balancers.Mean()),
    ):
        with pytest.raises(ConfigurationError, match=message):
            call()


@pytest.mark.parametrize(
    ("given", "tasks", "message"),
    [
        (lambda: {"clik": WEIGHT.sum()}, ["click", "buy"], "'clik', which is unknown. Did you mean 'click'"),
        (lambda: [WEIGHT.sum()], ["a", "b"], "1 entries but tasks names 2: a, b"),
        (lambda: torch.stack(losses()), ["a"], "2 entries but tasks names 1"),
    ],
)
def test_wrong_names(given, tasks, message):
    with pytest.raises(ConfigurationError, match=message):
        accord.jacobian(given(), [WEIGHT], tasks=tasks)


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        (list, "shared is empty"),
        (lambda: iter(()), "generator that was already used up"),
        (lambda: nn.Linear(2, 2), r"shared is a module \(Linear\); pass its \.parameters\(\)"),
        (lambda: WEIGHT, r"shared is one tensor of shape \[2\]"),
        (lambda: nn.Linear(2, 2).named_parameters(), r"shared\[0\] is a tuple.*not \.named_parameters"),
        (lambda: [WEIGHT, FROZEN, WEIGHT], r"shared\[2\] \(shape \[2\]\) is the same tensor as shared\[0\]"),
        (lambda: [WEIGHT, torch.ones(4)], r"shared\[1\] \(shape \[4\]\) does not require a gradient"),
        (lambda: [FROZEN], "all 1 parameters of shared are frozen"),
    ],
)
def test_wrong_parameters(shared, message):
    for call in (
        lambda: accord.jacobian(losses(), shared()),
        lambda: accord.gramian(losses(), shared()),
        lambda: accord.backward(losses(), shared(), balancers.Mean()),
    ):
        with pytest.raises(ConfigurationError, match=message):
            call()


def test_backward_needs_leaves():
    with pytest.raises(ConfigurationError, match=r"shared\[0\] \(shape \[2\]\) is the result of a computation"):
        accord.backward(losses(), [WEIGHT * 2], balancers.Mean())


def test_a_parameter_is_shared_or_not():
    with pytest.raises(ConfigurationError, match=r"task_parameters\[0\] \(shape \[2\]\) is also shared\[0\]"):
        accord.backward(losses(), [WEIGHT], balancers.Mean(), task_parameters=[WEIGHT])


def test_at_cannot_replace_a_full_jacobian():
    with pytest.raises(ConfigurationError, match="Median needs the full Jacobian"):
        accord.backward(losses(), [WEIGHT], balancers.Median(), at=[WEIGHT])


@pytest.mark.parametrize(
    ("balancer", "message"),
    [
        (balancers.Mean, r"balancer is Mean, .*pass an instance, Mean\(\)"),
        ("upgrad", r"balancer is 'upgrad', .*e\.g\. accord\.aggregation\.UPGrad\(\)"),
        (nn.Linear(1, 1), "neither a weighting nor an aggregator"),
    ],
)
def test_wrong_balancer(balancer, message):
    with pytest.raises(ConfigurationError, match=message):
        accord.backward(losses(), [WEIGHT], balancer)


@pytest.mark.parametrize("engine", ["lop", 3, None, Batched])
def test_unknown_engine(engine):
    with pytest.raises(ConfigurationError, match="unknown engine"):
        accord.gramian(losses(), [WEIGHT], engine=engine)


def test_mistyped_engine_gets_a_suggestion():
    with pytest.raises(ConfigurationError, match=r"unknown engine 'bached'\. Did you mean 'batched'"):
        accord.gramian(losses(), [WEIGHT], engine="bached")


def test_chunk_counts_tasks():
    with pytest.raises(ConfigurationError, match="chunk is 0"):
        Batched(chunk=0)


def test_frozen_parameters_have_no_columns():
    case = zoo.build("frozen_parts")
    trainable = sum(p.numel() for p in case.shared if p.requires_grad)
    assert accord.jacobian(case.losses, case.shared).shape == (3, trainable)


def test_called_without_gradient_tracking():
    with torch.no_grad():
        given = torch.stack([WEIGHT.detach().requires_grad_().sum()] * 2)
    with pytest.raises(ConfigurationError, match="none of the 2 losses has a graph"):
        accord.gramian(given, [WEIGHT])
    kept = torch.stack(losses()) * 1.0
    with torch.no_grad():
        for balancer in (balancers.Mean(), balancers.Learned(2)):
            accord.backward(kept, [WEIGHT], balancer, retain_graph=True)


def test_warnings_point_at_the_callers_line():
    fine, ill = WEIGHT.sum(), WEIGHT.sum() * (1 + (WEIGHT[0] * 0).sqrt())
    for balancer in (balancers.Mean(), balancers.Equal(), balancers.ByNorm()):
        for bad in (fine * math.nan, ill):
            with pytest.warns(NonFiniteLossWarning, match="task '1'") as seen:
                accord.backward([fine, bad], [WEIGHT], balancer, retain_graph=True)
            assert [warning.filename for warning in seen] == [__file__]
    for bad in (fine * math.nan, ill):
        with pytest.warns(NonFiniteLossWarning, match="task '1'") as seen:
            accord.gramian([fine, bad], [WEIGHT])
        assert [warning.filename for warning in seen] == [__file__]
    WEIGHT.grad = None
