from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from accord.data import Leak, find_leakage, infer_schema, open_table
from accord.data.association import auc, class_tables, explained

N = 4000


def base(seed: int = 0) -> dict[str, np.ndarray]:
    """A rare outcome, a class and an amount, with features that are honest however strong."""
    rng = np.random.default_rng(seed)
    gains = np.where(rng.random(N) < 0.05, rng.lognormal(8, 1, N), 0.0).round()
    skill = rng.normal(size=N)
    outcome = (skill + (gains > 5000) * 4 + rng.normal(size=N) > 1.8).astype(int)
    return {
        "gains": gains,
        "skill": skill,
        "region": np.array(["n", "s", "e", "w"])[rng.integers(0, 4, N)],
        "name": np.array([f"p{i}" for i in rng.permutation(N) // 2]),
        "noise": rng.normal(size=N),
        "outcome": np.array(["no", "yes"])[outcome],
        "kind": np.array(["a", "b", "c", "d"])[np.digitize(skill + rng.normal(size=N), [-1, 0, 1])],
        "amount": np.exp(skill + 0.5 * rng.normal(size=N)),
    }


TARGETS = ["outcome", "kind", "amount"]


def leaks(columns: dict[str, np.ndarray], rows: np.ndarray | None = None) -> list[Leak]:
    table = open_table(columns)
    schema = infer_schema(table, TARGETS, overrides={"name": "categorical"})
    return find_leakage(table, schema, TARGETS, rows)


def named(columns: dict[str, np.ndarray]) -> set[tuple[str, str]]:
    return {(leak.feature, leak.target) for leak in leaks(columns)}


@pytest.mark.parametrize("seed", range(3))
def test_honest_features_are_left_alone(seed: int) -> None:
    assert leaks(base(seed)) == []


def test_copies_renamed_bucketed_and_noised() -> None:
    columns = base()
    yes = columns["outcome"] == "yes"
    rng = np.random.default_rng(1)
    columns |= {
        "copy": columns["outcome"].copy(),
        "renamed": np.where(yes, "P77", "P12"),
        "score": yes + rng.normal(0, 0.1, N),
        "kind_group": np.where(np.isin(columns["kind"], ["a", "b"]), "low", columns["kind"]),
        "log_amount": np.log(columns["amount"]) * 3 + 7,
        "band": np.digitize(columns["amount"], np.quantile(columns["amount"], [0.2, 0.4, 0.6, 0.8])),
    }
    assert named(columns) == {
        ("copy", "outcome"),
        ("renamed", "outcome"),
        ("score", "outcome"),
        ("kind_group", "kind"),
        ("log_amount", "amount"),
        ("band", "amount"),
    }


def test_codes_that_are_filled_in_afterwards() -> None:
    columns = base()
    yes = columns["outcome"] == "yes"
    assert yes.mean() < 0.25
    rng = np.random.default_rng(1)
    some = yes & (rng.random(N) < 0.7)
    columns["reason"] = np.where(some, np.array(["late", "fraud", "other"])[rng.integers(0, 3, N)], "")
    columns["closed_after"] = np.where(yes, rng.exponential(10, N), np.nan)
    assert named(columns) == {("reason", "outcome"), ("closed_after", "outcome")}
    found = {leak.feature: leak for leak in leaks(columns)}
    assert found["reason"].measure == "precision" and found["closed_after"].measure == "AUC"
    text = str(found["reason"])
    assert "'reason' alone" in text and "outcome = 'yes'" in text and "columns={'reason': 'drop'}" in text


def test_a_part_of_the_rows_decides() -> None:
    columns = base()
    honest = np.arange(N) < N // 2
    columns["later"] = np.where(honest, columns["region"], columns["outcome"])
    assert leaks(columns, np.flatnonzero(honest)) == []
    assert {leak.feature for leak in leaks(columns, np.flatnonzero(~honest))} == {"later"}


def test_dropped_columns_and_other_targets_are_not_looked_at() -> None:
    columns = base()
    columns["copy"] = columns["outcome"].copy()
    table = open_table(columns)
    schema = infer_schema(table, TARGETS, overrides={"copy": "drop"})
    assert find_leakage(table, schema, TARGETS) == []


def test_tiny_and_missing_targets_say_nothing() -> None:
    table = open_table({"x": [1.5, 2.5, 3.5], "y": ["a", "b", None]})
    assert find_leakage(table, infer_schema(table, ["y"]), ["y"]) == []


def test_auc_agrees_with_the_rank_statistic() -> None:
    rng = np.random.default_rng(0)
    codes, labels, folds = rng.integers(0, 30, 500), rng.integers(0, 3, 500), rng.integers(0, 5, 500)
    labels = np.where(codes < 8, 0, labels)
    positives, totals = class_tables(codes, labels, 2, folds, 5)
    for k in (0, 1):
        y = labels == k
        score = np.empty(500)
        for i in range(500):
            other = folds != folds[i]
            same = other & (codes == codes[i])
            score[i] = (y[same].sum() + 2 * y.mean()) / (same.sum() + 2)
        ranks = rankdata(score)
        expected = (ranks[y].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (~y).sum())
        assert auc(positives[..., k], totals, 0.9)[0] == pytest.approx(expected, abs=1e-9)


def test_explained_variance_by_hand() -> None:
    # Two folds, two bins: each row is predicted by the other row of its bin and two rows of the overall mean 2.5.
    codes, folds = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    values = np.array([1.0, 2.0, 3.0, 4.0])
    guess = np.array([(2 + 5) / 3, (1 + 5) / 3, (4 + 5) / 3, (3 + 5) / 3])
    assert explained(codes, values, folds, 2) == pytest.approx(1 - ((values - guess) ** 2).sum() / 5)
    assert explained(codes, np.ones(4), folds, 2) == 0
