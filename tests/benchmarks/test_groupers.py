"""The benchmark of groupers, on a table that takes a second."""

from __future__ import annotations

import pytest

from benchmarks import groupers


def test_partitions_are_compared_as_hubert_and_arabie_do():
    assert groupers.adjusted_rand([0, 0, 1, 1], [5, 5, 2, 2]) == 1
    assert groupers.adjusted_rand([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(
        -0.5
    )  # 0 pairs agree, 2/3 by chance, 2 at most


def test_every_affinity_is_asked_for_the_planted_groups(monkeypatch):
    monkeypatch.setitem(groupers.OPTIONS, "training.epochs", 1)
    monkeypatch.setattr(groupers.planted, "__defaults__", (300, 16))
    found = groupers.measure_planted(0, 4, 2)["adjusted_rand"]
    assert set(found) == set(groupers.AFFINITIES)
    assert all(-0.5 <= value <= 1 for value in found.values())
