import math

import numpy as np
import pytest
import torch
from tests.tasks.kinds.helpers import assert_gradient, fit, make, start

from accord.errors import DataError
from accord.tasks import Objectives, Task

TASK = Task("t", "multilabel", columns=["a", "b"])
NUMBERS = np.array([[1, 0], [0, np.nan], [0, 1], [0, 0]], float)


def test_each_label_may_be_missing_by_itself():
    encoder, target = fit(TASK, NUMBERS)
    assert target.observed.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    assert encoder.rates == pytest.approx((1 / 4, 1 / 3))
    np.testing.assert_allclose(start(encoder)[0], [1 / 4, 1 / 3], rtol=1e-6)
    assert encoder.prediction_names == ("t=a", "t=b")


def test_loss_is_the_mean_over_labels_that_are_there():
    labels = {"t": make(NUMBERS)}
    objectives = Objectives.fit([TASK], labels)
    logits = torch.zeros(4, 2)
    logits[1, 1] = float("inf")  # where the label is missing
    logits.requires_grad_()
    (loss,) = objectives.losses([logits], objectives.encode(labels))
    assert loss is not None and float(loss.detach()) == pytest.approx(math.log(2.0), rel=1e-6)
    loss.backward()
    assert logits.grad is not None and logits.grad[1, 1] == 0 and float(logits.grad[0, 0]) == pytest.approx(-0.5 / 7)


def test_balanced_weights_keep_probabilities():
    encoder, target = fit(Task("t", "multilabel", columns=["a", "b"], class_weights="balanced"), NUMBERS)
    assert encoder.weights[0] == pytest.approx((4 / 6, 4 / 2))
    np.testing.assert_allclose(start(encoder)[0], [1 / 4, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(encoder.bias(), 0.0, atol=1e-6)  # balanced: even odds
    assert_gradient(encoder, target.values)


def test_metrics_are_means_over_columns_on_their_own_rows():
    encoder, target = fit(TASK, NUMBERS)
    predictions = np.array([[0.9, 0.1], [0.2, 0.99], [0.1, 0.2], [0.3, 0.3]])
    # Column a: the positive beats all; column b (rows 0, 2, 3): its positive beats one of two.
    assert encoder.evaluate(predictions, target)["auc"] == pytest.approx((1.0 + 0.5) / 2)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([[1, 0], [0, 0]], "column 'b' is 0 in every"),
        ([[1, np.nan], [0, np.nan]], "column 'b' is missing in every"),
        ([[1, 0], [0, 2]], "column 'b' holds 2"),
        ([[1], [0]], "has 2 columns, but its labels have 1"),
        (np.full((2, 2), np.nan), "all 2 labels are missing"),
    ],
)
def test_labels_that_cannot_be_learned(numbers, message):
    with pytest.raises(DataError, match=message):
        fit(TASK, numbers)
