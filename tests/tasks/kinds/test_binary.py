import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.kinds.helpers import assert_gradient, extreme, fit, make, start

from accord.errors import ConfigurationError, DataError
from accord.tasks import Task


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (["no", "yes", "yes", "yes"], "yes"),
        (["False", "True", "True"], "True"),
        (["-1", "1", "1", "1"], "1"),
        (["2", "10", "10", "10"], "10"),
        (["b", "b", "b", "a"], "a"),
        (["a", "a", "a", "b", "b"], "b"),
        (["a", "a", "b", "b", "b"], "b"),
    ],
)
def test_which_value_is_positive(names, positive):
    encoder, target = fit(Task("t", "binary"), names=names)
    assert encoder.positive == positive
    assert target.values.tolist() == [float(name == positive) for name in names]
    if positive in ("yes", "True"):
        assert encoder.notes == ()  # goes without saying
    else:
        assert len(encoder.notes) == 1 and repr(positive) in encoder.notes[0]


@pytest.mark.parametrize("names", [["0", "1"], ["0.0", "1.0"], ["N", "y"]])
def test_plain_yes_and_no_are_not_worth_a_note(names):
    encoder, _ = fit(Task("t", "binary"), names=names)
    assert encoder.positive == names[1] and encoder.notes == ()


@pytest.mark.parametrize("positive", ["1", 1, 1.0, True])
def test_positive_given_in_any_form(positive):
    encoder, target = fit(Task("t", "binary", positive=positive), [0.0, 1.0, np.nan])
    assert encoder.positive == "1" and encoder.notes == ()
    assert target.values.tolist() == [0.0, 1.0, 0.0] and target.observed.tolist() == [True, True, False]


def test_one_value_against_all_others_takes_unseen_ones_as_negative():
    encoder, target = fit(Task("t", "binary", positive="b"), names=["a", "b", "c", None])
    assert target.values.tolist() == [0, 1, 0, 0] and target.observed.tolist() == [True, True, True, False]
    later = encoder.encode(make(names=["new", "b"]))
    assert later.values.tolist() == [0, 1]
    assert encoder.decide(np.array([0.9, 0.1])).tolist() == ["b", "not b"]


@pytest.mark.parametrize(
    ("options", "names", "message"),
    [
        ({}, ["a", "a", None], "every training label is 'a'"),
        ({"positive": "a"}, ["a", "a"], "every training label is 'a'"),
        ({}, [None, None], "all 2 labels are missing"),
        ({}, [], "no rows"),
        ({}, ["a", "b", "c"], "positive="),
        ({"positive": "yess"}, ["yes", "no"], "Did you mean 'yes'"),
        ({"positive": True}, ["left", "right"], "positive value True"),
    ],
)
def test_labels_that_cannot_be_learned(options, names, message):
    with pytest.raises(DataError, match=message):
        fit(Task("t", "binary", **options), names=names)


def test_unseen_class_at_evaluation():
    encoder, _ = fit(Task("t", "binary"), names=["left", "right", "right"])
    with pytest.raises(DataError, match=r"'rigth' \(2 rows.*Did you mean 'right'"):
        encoder.encode(make(names=["left", "rigth", "rigth"]))
    unused = make(names=["left", "rigth"]).take(np.array([0]))
    assert encoder.encode(unused).values.tolist() == [0.0 if encoder.positive == "right" else 1.0]


def test_loss_by_hand():
    encoder, target = fit(Task("t", "binary"), [0.0, 1.0])
    losses = encoder.row_loss(torch.tensor([[math.log(3.0)], [math.log(3.0)]]), target.values)
    np.testing.assert_allclose(losses, [math.log(4.0), math.log(4.0 / 3.0)], rtol=1e-6)


def test_balanced_weights_by_hand():
    encoder, target = fit(Task("t", "binary", class_weights="balanced"), [0.0, 0.0, 0.0, 1.0])
    assert encoder.weights == pytest.approx((4 / 6, 4 / 2))
    losses = encoder.row_loss(torch.zeros(4, 1), target.values)
    np.testing.assert_allclose(losses, math.log(2.0) * np.array([4 / 6] * 3 + [2.0]), rtol=1e-6)


def test_class_weights_by_name():
    encoder, _ = fit(Task("t", "binary", class_weights={"1": 3.0}), [0.0, 0.0, 0.0, 1.0])
    assert encoder.weights == pytest.approx((2 / 3, 2.0))
    with pytest.raises(ConfigurationError, match="class 'yes'"):
        fit(Task("t", "binary", class_weights={"yes": 3.0}), [0.0, 1.0])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.booleans(), min_size=2, max_size=30).filter(lambda labels: 0 < sum(labels) < len(labels)),
    st.sampled_from(
        [{}, {"loss": "focal"}, {"class_weights": "balanced"}, {"loss": "focal", "class_weights": "balanced"}]
    ),
)
def test_the_constant_that_minimises_the_loss_predicts_the_base_rate(labels, options):
    # Whatever reweighting the loss does, predictions stay calibrated: here for the model that knows nothing.
    encoder, target = fit(Task("t", "binary", **options), np.array(labels, float))
    grid = torch.linspace(-6, 6, 24001, dtype=torch.float64)
    losses = sum(encoder.row_loss(grid[:, None], torch.full_like(grid, float(value))) for value in target.values)
    best = grid[losses.argmin()].view(1, 1)
    assert float(encoder.predict(best)) == pytest.approx(np.mean(labels), abs=1e-3)
    assert start(encoder)[0] == pytest.approx(np.mean(labels), abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"loss": "focal", "class_weights": "balanced"}])
def test_extreme_outputs_stay_finite(options):
    encoder, _ = fit(Task("t", "binary", **options), [0.0, 1.0, 1.0])
    outputs = extreme(1).requires_grad_()
    for value in (0.0, 1.0):
        losses = encoder.row_loss(outputs, torch.full((len(outputs),), value))
        (slope,) = torch.autograd.grad(losses.sum(), outputs)
        assert torch.isfinite(losses).all() and torch.isfinite(slope).all()
    assert torch.isfinite(encoder.predict(outputs)).all()


@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_gradient(loss):
    encoder, target = fit(Task("t", "binary", loss=loss, class_weights="balanced"), [0.0, 1.0, 1.0])
    assert_gradient(encoder, target.values)


def test_row_weights_count_in_the_base_rate():
    encoder, target = fit(Task("t", "binary"), [0.0, 1.0], weights=[1.0, 3.0])
    assert encoder.rate == 0.75 and target.weights is not None and target.weights.tolist() == [1.0, 3.0]
    with pytest.raises(DataError, match="all row weights are 0"):
        fit(Task("t", "binary"), [0.0, 1.0], weights=[0.0, 0.0])
