import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.tasks.entire_space import joint_log_loss, joint_log_probability

logits = st.lists(st.floats(-12, 12), min_size=1, max_size=4)


def test_by_hand():
    # Click 1/4, conversion given click 1/2: both happen with 1/8.
    chain = [torch.tensor(-math.log(3.0)), torch.tensor(0.0)]
    assert float(joint_log_probability(chain)) == pytest.approx(math.log(1 / 8), rel=1e-6)
    assert float(joint_log_loss(chain, torch.tensor(1.0))) == pytest.approx(-math.log(1 / 8), rel=1e-6)
    assert float(joint_log_loss(chain, torch.tensor(0.0))) == pytest.approx(-math.log(7 / 8), rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(logits, st.booleans())
def test_agrees_with_the_product_where_that_is_safe(chain, happened):
    probability = np.prod([1 / (1 + math.exp(-z)) for z in chain])
    expected = -math.log(probability if happened else -math.expm1(math.log(probability)))
    tensors = [torch.tensor(z, dtype=torch.float64) for z in chain]
    assert float(joint_log_loss(tensors, torch.tensor(float(happened)))) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(logits, st.booleans())
def test_gradient(chain, happened):
    tensors = tuple(torch.tensor(z, dtype=torch.float64, requires_grad=True) for z in chain)
    assert torch.autograd.gradcheck(lambda *z: joint_log_loss(z, torch.tensor(float(happened))), tensors)


def test_gradient_by_hand():
    # d/dz of -log(1 - p q) in the click logit is p q (1 - p) / (1 - p q); here p = q = 1/2.
    click, buy = (torch.zeros(1, requires_grad=True) for _ in range(2))
    joint_log_loss([click, buy], torch.zeros(1)).sum().backward()
    assert click.grad is not None and buy.grad is not None
    assert float(click.grad) == pytest.approx(0.25 * 0.5 / 0.75) and float(buy.grad) == pytest.approx(1 / 6)


@pytest.mark.parametrize("size", [40.0, 104.0, 1e4, 1e20])
def test_extreme_logits_in_single_precision(size):
    for first in (size, -size):
        for second in (size, -size, 0.0):
            for value in (0.0, 1.0):
                chain = [torch.tensor([z], requires_grad=True) for z in (first, second)]
                loss = joint_log_loss(chain, torch.tensor([value]))
                slopes = torch.autograd.grad(loss.sum(), chain)
                assert torch.isfinite(loss).all() and all(torch.isfinite(slope).all() for slope in slopes)
    sure = [torch.tensor(size), torch.tensor(size)]
    # 1 - (1 - e)(1 - e) is about 2 e, so the loss of a sure miss is the logit less log 2.
    assert float(joint_log_loss(sure, torch.tensor(0.0))) == pytest.approx(size - math.log(2.0), rel=1e-6)
