"""Every metric against a direct count of its definition, and under weights against repeated rows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accord.tasks import metrics as m
from accord.tasks.metrics.rank import median_rank
from accord.tasks.metrics.sums import CACHE, running

LEVELS = (0.1, 0.5, 0.8)
BINARY = [m.AUC, m.AVERAGE_PRECISION, m.LOG_LOSS, m.BRIER, m.ACCURACY, m.BALANCED_ACCURACY, m.F1, m.MATTHEWS]
CLASSES = [m.ACCURACY, m.BALANCED_ACCURACY, m.MACRO_F1, m.LOG_LOSS, m.BRIER, m.MATTHEWS, m.top_k(2)]
RANKS = [m.QUADRATIC_KAPPA, m.RANK_ERROR, m.RANK_ACCURACY]
NUMBERS = [m.RMSE, m.MAE, m.R2, m.SPEARMAN, m.POISSON_DEVIANCE]
INTERVALS = [m.pinball(LEVELS), m.coverage_error(LEVELS), m.middle_error(LEVELS)]
ALL = (
    [("binary", x) for x in BINARY]
    + [("classes", x) for x in CLASSES + RANKS]
    + [("numbers", x) for x in NUMBERS]
    + [("intervals", x) for x in INTERVALS]
)


def sample(shape, rng, rows):
    """Predictions and truth with ties, in the form that ``shape`` of metric takes."""
    if shape == "binary":
        return rng.integers(0, 5, rows) / 4, rng.integers(0, 2, rows).astype(float)
    if shape == "classes":
        scores = rng.integers(1, 4, (rows, 4)).astype(float)
        return scores / scores.sum(1, keepdims=True), rng.integers(0, 4, rows).astype(float)
    if shape == "numbers":
        return rng.integers(1, 6, rows).astype(float), rng.integers(0, 5, rows).astype(float)
    return np.sort(rng.integers(0, 6, (rows, 3)), 1).astype(float), rng.integers(0, 6, rows).astype(float)


@pytest.mark.parametrize(("shape", "metric"), ALL, ids=lambda x: getattr(x, "name", x))
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 25))
def test_whole_weights_are_repeated_rows(shape, metric, seed, rows):
    rng = np.random.default_rng(seed)
    predictions, truth = sample(shape, rng, rows)
    draws = rng.integers(0, 4, (6, rows))
    values = metric.bootstrap(predictions, truth, draws)
    for counts, value in zip(draws, values, strict=True):
        picked = np.repeat(np.arange(rows), counts)
        expected = metric(predictions[picked], truth[picked]) if len(picked) else math.nan
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("shape", "metric"), ALL, ids=lambda x: getattr(x, "name", x))
@pytest.mark.parametrize("rows", [1, 6, 700])
def test_counts_in_single_precision_and_in_either_order_say_the_same(shape, metric, rows):
    rng = np.random.default_rng(rows)
    score = metric.scorer(*sample(shape, rng, rows))
    draws = rng.multinomial(rows, np.full(rows, 1 / rows), 9).astype(float)
    expected = score(draws)
    draws.flags.writeable = False  # nobody writes into what it is given
    for counts in (np.asfortranarray(draws), draws.astype(np.float32), np.asfortranarray(draws.astype(np.float32))):
        found = score(counts)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 5), st.sampled_from([1, 20, 60_000]))
def test_means_over_columns_are_means_of_what_each_column_says(seed, rows, columns, at_once):
    rng = np.random.default_rng(seed)
    scores, truth = rng.integers(0, 5, (rows, columns)) / 4, rng.integers(0, 2, (rows, columns)).astype(float)
    truth[rng.random((rows, columns)) < 0.2] = np.nan
    weights = rng.integers(0, 3, (7, rows)) * rng.choice([1.0, 0.1], rows)
    for several, one in ((m.MACRO_AUC, m.AUC), (m.MEAN_AVERAGE_PRECISION, m.AVERAGE_PRECISION)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("accord.tasks.metrics.ranking.AT_ONCE", at_once)
            found = several.scorer(scores, truth)(weights)
        each = [
            one.scorer(scores[kept, k], truth[kept, k])(weights[:, kept]) for k, kept in enumerate(~np.isnan(truth).T)
        ]
        for value, own in zip(found, np.array(each).T, strict=True):
            expected = np.mean(own[~np.isnan(own)]) if not np.isnan(own).all() else math.nan
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


def test_running_sums_of_many_groups_are_those_of_few():
    sums = torch.from_numpy(np.random.default_rng(0).integers(0, 5, (3001, 50))).double()
    assert sums.nbytes > CACHE
    assert torch.equal(running(sums), sums.cumsum(0))
    assert torch.equal(running(sums.float()), sums.cumsum(0).float())


@pytest.mark.parametrize(("shape", "metric"), ALL, ids=lambda x: getattr(x, "name", x))
def test_order_of_rows_is_nothing_and_non_finite_predictions_are_undefined(shape, metric):
    rng = np.random.default_rng(3)
    predictions, truth = sample(shape, rng, 40)
    order = rng.permutation(40)
    assert metric(predictions[order], truth[order]) == pytest.approx(metric(predictions, truth))
    predictions[7] = np.nan
    assert math.isnan(metric(predictions, truth))


@pytest.mark.parametrize(("shape", "metric"), ALL, ids=lambda x: getattr(x, "name", x))
def test_no_rows_and_no_weight_are_undefined(shape, metric):
    predictions, truth = sample(shape, np.random.default_rng(0), 5)
    assert math.isnan(metric(predictions, truth, np.zeros(5)))
    assert math.isnan(metric(predictions[:0], truth[:0]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_auc_counts_pairs(seed, rows):
    scores, truth = sample("binary", np.random.default_rng(seed), rows)
    truth[:2] = 0, 1
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[truth == 1] for b in scores[truth == 0]]
    assert m.AUC(scores, truth) == pytest.approx(np.mean(pairs))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_average_precision_walks_down_the_thresholds(seed, rows):
    scores, truth = sample("binary", np.random.default_rng(seed), rows)
    truth[0] = 1
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        gained = truth[chosen].sum() / truth.sum() - recall
        total, recall = total + gained * truth[chosen].mean(), recall + gained
    assert m.AVERAGE_PRECISION(scores, truth) == pytest.approx(total)


def test_one_class_only():
    assert math.isnan(m.AUC(np.array([0.2, 0.3]), np.ones(2)))
    assert math.isnan(m.AVERAGE_PRECISION(np.array([0.2, 0.3]), np.zeros(2)))
    assert m.ACCURACY(np.array([0.2, 0.7]), np.ones(2)) == 0.5


@pytest.mark.parametrize("truth", [np.array([1, 0, 0, 0, 0]), np.array([1, 1, 1, 1, 0])])
def test_a_class_without_weight_leaves_no_auc_whatever_weights_the_other_has(truth):
    scores, weights = np.array([0.3, 0.1, 0.3, 0.4, 0.2]), np.array([0.1, 0.2, 0.3, 0.7, 0.4])
    for gone in (0, 1):
        assert math.isnan(m.AUC(scores, truth, np.where(truth == gone, 0.0, weights)))


def test_probability_metrics_by_hand():
    assert m.LOG_LOSS(np.array([0.25, 0.25]), np.array([1, 0])) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)
    assert m.LOG_LOSS(np.array([1.0, 0.0]), np.array([0, 1])) == pytest.approx(-math.log(1e-15))
    assert m.BRIER(np.array([0.25, 0.25]), np.array([1, 0])) == pytest.approx((0.5625 + 0.0625) / 2)
    three = np.array([[0.5, 0.3, 0.2]])
    assert m.LOG_LOSS(three, np.array([1])) == pytest.approx(-math.log(0.3))
    assert m.BRIER(three, np.array([1])) == pytest.approx(0.25 + 0.49 + 0.04)


def test_decision_metrics_by_hand():
    scores, truth = np.array([0.9, 0.5, 0.1, 0.2, 0.8, 0.7, 0.95]), np.array([1, 0, 1, 0, 1, 0, 1])
    # True positives 3, false positives 2, false negatives 1, true negatives 1.
    assert m.ACCURACY(scores, truth) == pytest.approx(4 / 7)
    assert m.BALANCED_ACCURACY(scores, truth) == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert m.F1(scores, truth) == pytest.approx(6 / 9)
    assert m.MATTHEWS(scores, truth) == pytest.approx((3 * 1 - 2 * 1) / math.sqrt(5 * 4 * 3 * 2))


def test_class_metrics_by_hand():
    predictions = np.eye(3)[[0, 1, 1, 0]] * 0.8 + 0.2 / 3
    truth = np.array([0, 1, 0, 1])
    assert m.BALANCED_ACCURACY(predictions, truth) == pytest.approx(0.5)
    assert m.MACRO_F1(predictions, truth) == pytest.approx(0.5)  # the class that never occurs does not count
    assert m.MACRO_F1(predictions, np.array([0, 1, 0, 2])) == pytest.approx((0.5 + 2 / 3 + 0.0) / 3)
    assert m.top_k(2)(np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]), np.array([1, 0])) == 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 30))
def test_kappa_and_correlation_against_tables_and_scipy(seed, rows):
    rng = np.random.default_rng(seed)
    probabilities, truth = sample("classes", rng, rows)
    decided = median_rank(probabilities)
    table = np.zeros((4, 4))
    np.add.at(table, (truth.astype(int), decided), 1 / rows)
    distance = (np.arange(4)[:, None] - np.arange(4)) ** 2
    expected = (distance * np.outer(table.sum(1), table.sum(0))).sum()
    if expected > 0:
        assert m.QUADRATIC_KAPPA(probabilities, truth) == pytest.approx(1 - (distance * table).sum() / expected)
    x, y = rng.integers(0, 5, rows), rng.integers(0, 5, rows)
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert m.SPEARMAN(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_median_rank_by_hand():
    probabilities = np.array([[0.4, 0.3, 0.3], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    assert median_rank(probabilities).tolist() == [1, 0, 2]


def test_error_metrics_by_hand():
    predictions, truth = np.array([1.0, 2.0, 5.0]), np.array([0.0, 2.0, 4.0])
    assert m.RMSE(predictions, truth) == pytest.approx(math.sqrt(2 / 3))
    assert m.MAE(predictions, truth) == pytest.approx(2 / 3)
    assert m.R2(predictions, truth) == pytest.approx(1 - 2 / 8)
    assert m.R2(predictions + 1e9, truth + 1e9) == pytest.approx(1 - 2 / 8)
    deviance = 2 * np.mean([1.0, 0.0, 4 * math.log(4 / 5) - 4 + 5])
    assert m.POISSON_DEVIANCE(predictions, truth) == pytest.approx(deviance)
    assert math.isnan(m.R2(predictions, np.ones(3)))
    assert math.isnan(m.SPEARMAN(np.ones(3), truth))


def test_interval_metrics_by_hand():
    predictions, truth = np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]), np.array([3.0, 0.0])
    first = (0.1 * 2 + 0.5 * 1 + 0.2 * 1) / 3
    second = (0.9 * 1 + 0.5 * 2 + 0.2 * 4) / 3
    assert m.pinball(LEVELS)(predictions, truth) == pytest.approx((first + second) / 2)
    assert m.coverage_error(LEVELS)(predictions, truth) == pytest.approx(abs(0.5 - 0.7))
    assert m.coverage_error((0.3,))(predictions[:, :1], truth) == pytest.approx(abs(0.5 - 0.3))
    assert m.middle_error(LEVELS)(predictions, truth) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("metric", "difference", "interval", "words"),
    [
        (m.AUC, 0.004, (0.002, 0.006), "+0.4 AUC points [0.2, 0.6]"),
        (m.AUC, -0.0004, (-0.00065, -0.00015), "-0.04 AUC points [-0.07, -0.01]"),
        (m.RMSE, 123.4, (100.0, 150.0), "+123 RMSE [100, 150]"),
        (m.LOG_LOSS, 0.0123, (), "+0.012 log loss"),
        (m.AUC, 0.0, (0.0, 0.0), "+0.0 AUC points [0.0, 0.0]"),
    ],
)
def test_differences_in_words(metric, difference, interval, words):
    assert metric.words(difference, *interval) == words
