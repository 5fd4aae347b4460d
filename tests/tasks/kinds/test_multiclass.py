import math

import numpy as np
import pytest
import torch
from tests.tasks.kinds.helpers import assert_gradient, extreme, fit, make, start

from accord.errors import DataError
from accord.tasks import Task


def test_classes_of_the_training_rows_or_of_the_task():
    encoder, target = fit(Task("t", "multiclass"), names=["b", "a", None, "b"])
    assert encoder.classes == ("a", "b") and target.values.tolist() == [1, 0, 0, 1]
    assert target.observed.tolist() == [True, True, False, True]
    encoder, target = fit(Task("t", "multiclass", classes=["b", "z", "a"]), names=["b", "a"])
    assert encoder.width == 3 and target.values.tolist() == [0, 2]
    assert "'z'" in encoder.notes[0]


def test_other_tables_may_list_categories_in_another_order():
    encoder, _ = fit(Task("t", "multiclass"), names=["a", "b", "c"])
    assert encoder.encode(make(names=["c", "b"])).values.tolist() == [2, 1]
    with pytest.raises(DataError, match="class 'd'"):
        encoder.encode(make(names=["d"]))


def test_loss_by_hand():
    encoder, target = fit(Task("t", "multiclass"), [0.0, 1.0, 2.0])
    outputs = torch.tensor([[math.log(2.0), math.log(1.0), math.log(1.0)]]).repeat(3, 1)
    np.testing.assert_allclose(encoder.row_loss(outputs, target.values), np.log([2.0, 4.0, 4.0]), rtol=1e-6)
    np.testing.assert_allclose(encoder.predict(outputs)[0], [0.5, 0.25, 0.25], rtol=1e-6)


def test_label_smoothing_by_hand():
    task = Task("t", "multiclass", loss_params={"label_smoothing": 0.3})
    encoder, target = fit(task, [0.0, 1.0, 2.0])
    outputs = torch.tensor([[math.log(2.0), 0.0, 0.0]])
    expected = 0.8 * math.log(2.0) + 0.1 * math.log(4.0) + 0.1 * math.log(4.0)
    assert float(encoder.row_loss(outputs, target.values[:1])) == pytest.approx(expected, rel=1e-6)


def test_weights_move_the_logits_not_the_probabilities():
    encoder, target = fit(Task("t", "multiclass", class_weights="balanced"), [0, 0, 0, 0, 1, 1, 2, 2])
    assert encoder.weights == pytest.approx((8 / 12, 8 / 6, 8 / 6))
    outputs = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([outputs], max_iter=100, tolerance_grad=1e-10)

    def closure():
        optimiser.zero_grad()
        loss = encoder.row_loss(outputs.expand(8, 3), target.values).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    np.testing.assert_allclose(encoder.predict(outputs.detach()[None])[0], [0.5, 0.25, 0.25], atol=1e-6)
    np.testing.assert_allclose(start(encoder)[0], [0.5, 0.25, 0.25], atol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (np.arange(40.0), "look like an identifier"),
        (np.full(5, 3.0), "every training label is '3'"),
        (np.full(5, np.nan), "all 5 labels are missing"),
        ([0.0, np.inf], "infinite"),
    ],
)
def test_labels_that_cannot_be_learned(numbers, message):
    with pytest.raises(DataError, match=message):
        fit(Task("t", "multiclass"), numbers)


def test_many_classes_are_fine_when_listed_or_when_rows_are_many():
    assert fit(Task("t", "multiclass"), np.repeat(np.arange(40.0), 5))[0].width == 40
    listed = [str(k) for k in range(40)]
    assert fit(Task("t", "multiclass", classes=listed), np.arange(40.0))[0].width == 40


def test_extreme_outputs_and_gradient():
    encoder, target = fit(Task("t", "multiclass", class_weights="balanced"), [0.0, 1.0, 2.0, 2.0])
    assert_gradient(encoder, target.values)
    outputs = extreme(3)
    assert torch.isfinite(encoder.row_loss(outputs, torch.zeros(len(outputs), dtype=torch.int64))).all()
    np.testing.assert_allclose(encoder.predict(outputs).sum(1), 1.0)


def test_decision_is_the_most_probable_class():
    encoder, _ = fit(Task("t", "multiclass"), names=["a", "b"])
    assert encoder.decide(np.array([[0.4, 0.6], [0.9, 0.1]])).tolist() == ["b", "a"]
