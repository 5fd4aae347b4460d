import numpy as np
import pytest

from accord.errors import DataError
from accord.tasks import Labels


def test_numbers_become_classes_in_ascending_order():
    codes, names = Labels(numbers=np.array([10.0, 2.0, np.nan, 0.5, 2.0])).as_classes("t")
    assert names == ("0.5", "2", "10")
    assert codes.tolist() == [2, 1, -1, 0, 1]


def test_categories_that_read_as_numbers_are_numbers():
    labels = Labels(codes=np.array([1, -1, 0], np.int32), categories=("7", "2.5"))
    np.testing.assert_array_equal(labels.as_numbers("t"), [[2.5], [np.nan], [7.0]])
    with pytest.raises(DataError, match="'high'"):
        Labels(codes=np.array([0], np.int32), categories=("high",)).as_numbers("t")


def test_take_keeps_weights_with_their_rows():
    labels = Labels(numbers=np.array([1.0, 2.0, 3.0]), weights=np.array([0.0, 1.0, 2.0]))
    for rows in (np.array([2, 0]), np.array([True, False, True])):
        part = labels.take(rows)
        assert part.weights is not None and part.numbers is not None
        np.testing.assert_array_equal(part.weights, part.numbers[:, 0] - 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "exactly one"),
        ({"numbers": np.zeros(1), "codes": np.zeros(1, np.int32)}, "exactly one"),
        ({"codes": np.array([0, 3], np.int32), "categories": ("a",)}, "between -1"),
        ({"codes": np.array([-2], np.int32), "categories": ("a",)}, "between -1"),
        ({"numbers": np.zeros(2), "weights": np.ones(3)}, "one weight per row"),
        ({"numbers": np.zeros(2), "weights": np.array([1.0, -1.0])}, "not negative"),
        ({"numbers": np.zeros(2), "weights": np.array([1.0, np.nan])}, "finite"),
    ],
)
def test_malformed_labels(labels, message):
    with pytest.raises(DataError, match=message):
        Labels(**labels)


def test_infinite_labels_are_named():
    with pytest.raises(DataError, match=r"1 labels are infinite \(first in row 1\)"):
        Labels(numbers=np.array([0.0, -np.inf])).as_numbers("t")
