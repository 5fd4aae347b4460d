"""Statistics of a comparison against closed forms, published tables, SciPy and hand cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accord.comparing.holm import holm
from accord.comparing.ranks import blocks_needed, critical_difference, rank
from accord.comparing.results import p_value, resamples_for
from accord.comparing.signed_rank import signed_rank


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03: times 3, 2, 1 gives 0.03, 0.04, 0.03, and a larger p never has a smaller correction.
    assert holm({"b": 0.02, "a": 0.01, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.04})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(values: dict[str, float]) -> None:
    corrected = holm(values)
    assert list(corrected) == list(values)
    for name, p in values.items():
        assert p <= corrected[name] <= min(1.0, p * len(values))


@given(st.integers(1, 60), st.sampled_from([0.01, 0.05, 0.2]))
def test_there_are_resamples_enough_for_the_clearest_difference_to_show(methods: int, level: float) -> None:
    count = resamples_for(1, 1e12, methods, level)
    clearest = holm({str(number): p_value(np.ones(count)) for number in range(methods)})
    assert max(clearest.values()) < level


def test_one_difference_has_a_closed_form() -> None:
    # Weights (w, 1 - w), w ~ Beta(1/2, 1) on the prior's zero: the zero region has mass w^2, the positive one 1 - w^2.
    found = signed_rank([1.0], 0.0, samples=100_000)
    assert found.worse == 0.0
    assert found.better == pytest.approx(stats.beta(0.5, 1).cdf(math.sqrt(0.5)), abs=0.005)


def test_two_opposite_differences_are_a_draw() -> None:
    found = signed_rank([1.0, -1.0], 0.1, samples=40_000)
    assert found.better == pytest.approx(found.worse, abs=0.01)


def test_within_the_region_nothing_is_better() -> None:
    assert signed_rank([0.4, -0.2, 0.5], 0.5).equal == 1.0
    assert signed_rank([], 0.0).equal == 1.0


def test_ten_clear_gains_are_better_for_sure() -> None:
    assert signed_rank(np.linspace(2, 3, 10).tolist(), 0.5).better > 0.999
    assert signed_rank(np.linspace(-3, -2, 10).tolist(), 0.5).worse > 0.999


def test_signed_rank_agrees_with_a_slow_double_sum() -> None:
    z, rope = [0.7, -0.3, 1.2, 0.1], 0.25
    rng = np.random.default_rng(1)
    wins = np.zeros(3)
    for _ in range(4000):
        w, values, mass = rng.dirichlet([0.5, 1, 1, 1, 1]), [0.0, *z], [0.0, 0.0, 0.0]
        for wi, zi in zip(w, values, strict=True):
            for wj, zj in zip(w, values, strict=True):
                middle = (zi + zj) / 2
                mass[1 if abs(middle) <= rope else 2 if middle > 0 else 0] += wi * wj
        wins[int(np.argmax(mass))] += 1
    found = signed_rank(z, rope, samples=40_000)
    assert [found.worse, found.equal, found.better] == pytest.approx(wins / 4000, abs=0.03)


EIGHTHS = st.integers(-40, 40).map(lambda n: n / 8)


@given(st.lists(EIGHTHS, min_size=1, max_size=6), EIGHTHS.map(abs))
@settings(max_examples=25)
def test_signed_rank_is_a_distribution_and_scale_free(z: list[float], rope: float) -> None:
    found = signed_rank(z, rope, samples=500)
    assert found.worse + found.equal + found.better == pytest.approx(1)
    assert min(found.worse, found.equal, found.better) >= 0
    assert signed_rank([4 * v for v in z], 4 * rope, samples=500) == found


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_published_table(methods: int, q: float) -> None:
    # With 6 n = k (k + 1) the square root is 1 and the difference is q itself: Demsar 2006, table 5.
    blocks = methods * (methods + 1) / 6
    assert critical_difference(methods, blocks) == pytest.approx(q, abs=2e-3)  # type: ignore[arg-type]


def test_mean_ranks_by_hand_with_a_tie() -> None:
    found = rank({"a": [3.0, 2.0], "b": [1.0, 2.0], "c": [2.0, 0.0]})
    assert found.mean == pytest.approx({"a": 1.25, "c": 2.5, "b": 2.25})
    assert list(found.mean) == ["a", "b", "c"]


def test_tests_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    scores = {name: (rng.normal(shift, 1, 12)).tolist() for name, shift in (("a", 0), ("b", 1), ("c", 3))}
    found = rank(scores)
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*scores.values()).pvalue)
    raw = {pair: stats.wilcoxon(np.subtract(scores[pair[0]], scores[pair[1]])).pvalue for pair in found.pairs}
    assert found.pairs == pytest.approx(holm(raw))


def test_cliques_join_what_cannot_be_told_apart() -> None:
    base = np.arange(12.0)
    wobble = np.where(np.arange(12) % 2, 0.01, -0.01) * np.arange(1, 13)
    found = rank({"good": base + 50, "also": base + 50 + wobble, "bad": base, "bad too": base - wobble})
    assert sorted(map(sorted, found.cliques)) == [["also", "good"], ["bad", "bad too"]]


def test_equal_methods_are_one_clique() -> None:
    found = rank({"a": [1.0] * 9, "b": [1.0] * 9, "c": [1.0] * 9})
    assert found.friedman == 1.0
    assert set(found.pairs.values()) == {1.0}
    assert found.cliques == [["a", "b", "c"]]
    assert set(found.mean.values()) == {2.0}


@pytest.mark.parametrize(("methods", "needed"), [(2, 6), (3, 7), (4, 8), (10, 11)])
def test_with_too_few_blocks_nothing_can_be_told_apart(methods: int, needed: int) -> None:
    """The bound is sharp: methods that never change places differ with that many blocks and not with one fewer."""
    assert blocks_needed(methods, 0.05) == needed
    for blocks, apart in ((needed, True), (needed - 1, False)):
        drift = np.random.default_rng(0).normal(0, 0.01, (methods, blocks))
        found = rank({str(m): (m + drift[m]).tolist() for m in range(methods)})
        assert found.enough is apart
        assert (max(found.pairs.values()) < 0.05) is apart
