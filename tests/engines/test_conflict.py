"""What steps tell of conflict, against NumPy on the gradients themselves."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.aggregation import PerGroup, UPGrad
from accord.engines.conflict import condition_number, cosines, dominance, effective_rates


def rows(seed, tasks, decades=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((tasks, 2 * tasks + 1)) * 10.0 ** rng.uniform(-decades, decades, (tasks, 1))


def gram(jacobian):
    return torch.from_numpy(jacobian @ jacobian.T)


@given(some.integers(0, 2**31), some.integers(1, 12), some.sampled_from([0.0, 3.0]))
@settings(max_examples=40, deadline=None)
def test_against_numpy(seed, tasks, decades):
    jacobian = rows(seed, tasks, decades)
    norms = np.linalg.norm(jacobian, axis=1)
    unit = jacobian / norms[:, None]
    np.testing.assert_allclose(cosines(gram(jacobian)), np.clip(unit @ unit.T, -1, 1), atol=1e-10)
    assert condition_number(gram(jacobian)) == pytest.approx(np.linalg.cond(jacobian), rel=1e-3)
    np.testing.assert_allclose(dominance(gram(jacobian)), norms / norms.sum())
    weights = np.random.default_rng(seed + 1).uniform(0, 2, tasks)
    wanted = 0.1 * weights * norms / np.linalg.norm(weights @ jacobian)
    np.testing.assert_allclose(effective_rates(gram(jacobian), torch.from_numpy(weights), 0.1), wanted, rtol=1e-6)


def test_a_zero_gradient_has_no_direction():
    gramian = torch.tensor([[4.0, 0.0, -2.0], [0.0, 0.0, 0.0], [-2.0, 0.0, 1.0]], dtype=torch.float64)
    found = cosines(gramian)
    assert found[1].isnan().all()
    assert found[:, 1].isnan().all()
    assert found[0, 2] == -1
    assert condition_number(gramian) == math.inf  # the other two are opposed
    assert dominance(gramian).tolist() == pytest.approx([2 / 3, 0.0, 1 / 3])
    assert effective_rates(gramian, torch.ones(3)).tolist() == pytest.approx([2.0, 0.0, 1.0])
    assert effective_rates(gramian, torch.tensor([1.0, 5.0, 2.0])).isnan().all()  # the update is zero
    nothing = torch.zeros(2, 2)
    assert math.isnan(condition_number(nothing))
    assert dominance(nothing).tolist() == [0.0, 0.0]
    assert effective_rates(nothing, torch.ones(2)).isnan().all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_lengths_are_told_from_dependence(scale):
    apart = torch.diag(torch.tensor([1.0, 1e-8], dtype=torch.float64)) * scale**2
    assert condition_number(apart) == pytest.approx(1e4)
    alike = torch.ones(2, 2, dtype=torch.float64) * scale**2
    assert condition_number(alike) == math.inf
    assert effective_rates(alike, torch.tensor([0.5, 0.5]), 0.1).tolist() == pytest.approx([0.05, 0.05])


def test_a_step_tells_it_of_all_parameters_and_of_each_group():
    a, b = nn.Parameter(torch.tensor([1.0, 0.0])), nn.Parameter(torch.tensor([1.0, 0.0]))
    losses = [3 * a[0] + b[0], 4 * b[1] - a[0]]
    step = accord.backward(losses, {"a": [a], "b": [b]}, PerGroup(balancers.Given([0.5, 0.5]), ["a", "b"]))
    assert step.cosines()[0, 1] == pytest.approx(-3 / math.sqrt(170))
    assert step.effective_rates() is None  # each group has weights of its own
    in_a, in_b = step.groups["a"], step.groups["b"]
    assert in_a.cosines()[0, 1] == -1
    assert in_a.condition_number() == math.inf
    assert in_a.effective_rates(0.1).tolist() == pytest.approx([0.15, 0.05])
    assert in_b.condition_number() == pytest.approx(4.0)
    assert in_b.dominance().tolist() == pytest.approx([0.2, 0.8])


def test_what_cannot_be_told_is_none():
    case = zoo.build("mlp")
    step = accord.backward(case.losses, case.shared, balancers.Equal(), retain_graph=True)
    assert (step.cosines(), step.condition_number(), step.dominance(), step.effective_rates()) == (None,) * 4
    step = accord.backward({**case.losses, "t1": None}, case.shared, UPGrad())
    assert step.cosines()[1].isnan().all()
    assert step.dominance()[1] == 0
    assert step.effective_rates(0.1)[1] == 0
