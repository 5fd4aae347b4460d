"""Affinities against hand-made cases, definitions written the slow way, and what they claim of any evidence."""

from __future__ import annotations

import itertools
import lzma
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.grouping import (
    CKA,
    RSA,
    Affinity,
    CompressionDistance,
    DataMaps,
    GradientCosine,
    InterTaskAffinity,
    LassoRelevance,
    TaskSelection,
    lookahead,
)
from accord.grouping.lasso_relevance import lasso
from accord.grouping.task_selection import select

ALL = (CKA, RSA, CompressionDistance, DataMaps, GradientCosine, InterTaskAffinity, LassoRelevance, TaskSelection)
SYMMETRIC = (CKA, RSA, CompressionDistance, DataMaps, GradientCosine)


def evidence(seed: int, tasks: int, rows: int = 40, order: list[int] | None = None) -> dict[str, object]:
    """Everything an affinity may be shown, of random tasks; ``order`` renumbers the tasks."""
    rng = torch.Generator().manual_seed(seed)
    pick = torch.arange(tasks) if order is None else torch.tensor(order)
    grads = torch.randn(tasks, 6, generator=rng, dtype=torch.float64)
    found = {
        "gramian": grads @ grads.T,
        "before": torch.rand(tasks, generator=rng, dtype=torch.float64) + 0.1,
        "after": torch.rand(tasks, tasks, generator=rng, dtype=torch.float64),
        "confidence": torch.rand(tasks, rows, generator=rng, dtype=torch.float64),
        "means": torch.randn(tasks, 5, generator=rng, dtype=torch.float64),
        "heads": torch.randn(tasks, 5, generator=rng, dtype=torch.float64),
        "labels": torch.randint(0, 3, (tasks, rows), generator=rng),
    }
    seen = [torch.randn(rows, 3 + t % 2, generator=rng, dtype=torch.float64) for t in range(tasks)]
    shown = {k: v[pick][:, pick] if k in ("gramian", "after") else v[pick] for k, v in found.items()}
    return {**shown, "representations": [seen[int(t)] for t in pick]}


@pytest.mark.parametrize("make", ALL)
@given(seed=st.integers(0, 1000), tasks=st.integers(2, 6))
@settings(max_examples=5, deadline=None)
def test_every_affinity_is_square_and_moves_with_its_tasks(make: type[Affinity], seed: int, tasks: int) -> None:
    order = np.random.default_rng(seed).permutation(tasks).tolist()
    plain, moved = make(tasks), make(tasks)
    plain.observe(**evidence(seed, tasks))
    moved.observe(**evidence(seed, tasks, order=order))
    matrix = plain.matrix()
    assert matrix.shape == (tasks, tasks) and matrix.dtype == torch.float64
    torch.testing.assert_close(moved.matrix(), matrix[order][:, order], rtol=1e-6, atol=1e-8)
    if make in SYMMETRIC:
        torch.testing.assert_close(matrix, matrix.T)


@pytest.mark.parametrize("make", ALL)
def test_state_goes_through_a_dictionary(make: type[Affinity]) -> None:
    affinity, restored = make(3), make(3)
    affinity.observe(**evidence(0, 3))
    restored.load_state_dict(affinity.state_dict())
    torch.testing.assert_close(restored.matrix(), affinity.matrix())
    for one in (affinity, restored):
        one.observe(**evidence(1, 3))
    torch.testing.assert_close(restored.matrix(), affinity.matrix())


@pytest.mark.parametrize("make", ALL)
def test_what_is_missing_is_named(make: type[Affinity]) -> None:
    with pytest.raises(ConfigurationError, match="seen nothing yet"):
        make(3).matrix()
    with pytest.raises(ConfigurationError, match=f"goes by {make.hears[0]}"):
        make(3).observe()


def test_wrong_evidence_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no evidence 'gramain'"):
        GradientCosine(2).observe(gramain=torch.eye(2))
    with pytest.raises(ConfigurationError, match=r"gramian must have shape \[2, 2\]"):
        GradientCosine(2).observe(gramian=torch.eye(3))
    with pytest.raises(ConfigurationError, match=r"heads must have shape \[2, N\]"):
        LassoRelevance(2).observe(heads=torch.ones(3, 2))
    with pytest.raises(ConfigurationError, match="same rows"):
        CKA(2).observe(representations=[torch.ones(3, 2), torch.ones(4, 2)])
    with pytest.raises(ConfigurationError, match="at least two"):
        CKA(1)
    with pytest.raises(ConfigurationError, match="same rows every epoch"):
        maps = DataMaps(2)
        maps.observe(confidence=torch.ones(2, 3))
        maps.observe(confidence=torch.ones(2, 4))


def test_cosines_are_averaged_where_they_are_known() -> None:
    affinity = GradientCosine(3)
    affinity.observe(
        gramian=torch.tensor([[4.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    )  # task 2 without gradient
    affinity.observe(gramian=torch.tensor([[1.0, -1.0, 3.0], [-1.0, 1.0, 3.0], [3.0, 3.0, 9.0]]))
    expected = torch.tensor([[1, -0.25, 1], [-0.25, 1, 1], [1, 1, 1]], dtype=torch.float64)
    torch.testing.assert_close(affinity.matrix(), expected)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_cosines_survive_any_scale(scale: float) -> None:
    affinity = GradientCosine(2)
    affinity.observe(gramian=scale**2 * torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64))
    assert float(affinity.matrix()[0, 1]) == pytest.approx(0.5)


def quadratics() -> tuple[nn.Parameter, list[Tensor]]:
    """Two losses ``||w - c||^2`` and one that does not reach w."""
    return nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64)), [
        torch.tensor([0.0, 0.0], dtype=torch.float64),
        torch.tensor([3.0, 0.0], dtype=torch.float64),
    ]


def test_lookahead_by_hand() -> None:
    w, (first, second) = quadratics()
    other = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    before, after = lookahead(
        lambda: [((w - first) ** 2).sum(), ((w - second) ** 2).sum(), other**2, None], [w], step=0.1
    )
    # |w| = 5, so steps are 0.5 long: towards 0 for the first task, down the second axis for the second.
    assert before[:3].tolist() == [25.0, 16.0, 4.0] and before[3:].isnan().all()
    torch.testing.assert_close(after[0, :3], torch.tensor([4.5**2, 0.3**2 + 3.6**2, 4.0], dtype=torch.float64))
    torch.testing.assert_close(after[1, :3], torch.tensor([9 + 3.5**2, 3.5**2, 4.0], dtype=torch.float64))
    assert after[2, :3].tolist() == [25.0, 16.0, 4.0] and after[3].isnan().all()
    assert w.tolist() == [3.0, 4.0] and w.grad is None


def test_lookahead_gives_tags_matrix() -> None:
    affinity = InterTaskAffinity(2)
    affinity.observe(before=torch.tensor([2.0, 1.0]), after=torch.tensor([[1.0, 1.1], [1.5, 0.5]]))
    affinity.observe(before=torch.tensor([2.0, 0.0]), after=torch.tensor([[1.8, 5.0], [2.2, 5.0]]))  # loss 0: no news
    expected = torch.tensor([[0.3, -0.1], [0.075, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(affinity.matrix(), expected, rtol=1e-6, atol=1e-8)


def test_lookahead_refuses_steps_backwards() -> None:
    w, _ = quadratics()
    with pytest.raises(ConfigurationError, match="step must be above 0"):
        lookahead(lambda: [(w**2).sum()], [w], step=-1.0)


def test_rsa_is_spearman_of_correlation_distances() -> None:
    rng = np.random.default_rng(0)
    seen = [rng.normal(size=(9, d)) for d in (3, 5)]
    pairs = list(itertools.combinations(range(9), 2))
    distances = [[1 - np.corrcoef(x[a], x[b])[0, 1] for a, b in pairs] for x in seen]
    affinity = RSA(2)
    affinity.observe(representations=[torch.from_numpy(x) for x in seen])
    assert float(affinity.matrix()[0, 1]) == pytest.approx(float(stats.spearmanr(*distances)[0]), abs=1e-9)


def test_cka_sees_through_rotation_and_scale_only() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=rng, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=rng, dtype=torch.float64))[0]
    bent = x.clone()
    bent[:, 0] *= 10
    affinity = CKA(3)
    affinity.observe(representations=[x, 1e-12 * x @ turn + 3, bent])
    matrix = affinity.matrix()
    assert float(matrix[0, 1]) == pytest.approx(1.0)
    centred, other = x - x.mean(0), bent - bent.mean(0)
    slow = (centred.T @ other).norm() ** 2 / (centred.T @ centred).norm() / (other.T @ other).norm()
    assert float(matrix[0, 2]) == pytest.approx(float(slow)) and float(slow) < 0.9


@pytest.mark.parametrize("make", [RSA, CKA])
def test_an_encoder_that_sees_nothing_has_no_affinity(make: type[Affinity]) -> None:
    affinity = make(2)
    affinity.observe(representations=[torch.ones(6, 3), torch.randn(6, 3, generator=torch.Generator().manual_seed(0))])
    assert bool(affinity.matrix()[0, 1].isnan())


def test_data_maps_by_hand() -> None:
    nan = math.nan
    affinity = DataMaps(3)
    affinity.observe(confidence=torch.tensor([[0.0, 0.5, 1.0], [0.5, 0.5, nan], [1.0, 0.5, 0.0]]))
    affinity.observe(confidence=torch.tensor([[1.0, 0.5, 1.0], [0.5, 0.5, nan], [1.0, 0.5, 0.0]]))
    # Maps (mean, spread) by row: (.5, .5) (.5, 0) (1, 0) | (.5, 0) (.5, 0) - | (1, 0) (.5, 0) (0, 0)
    d01, d02, d12 = math.sqrt(0.25 / 2), math.sqrt((0.25 + 0.25 + 1) / 3), math.sqrt(0.25 / 2)
    mean = (d01 + d02 + d12) / 3
    matrix = affinity.matrix()
    assert float(matrix[0, 1]) == pytest.approx(1 - d01 / mean)
    assert float(matrix[2, 0]) == pytest.approx(1 - d02 / mean)
    assert float(matrix[1, 2]) == pytest.approx(1 - d12 / mean)


def test_equal_data_maps_are_neutral() -> None:
    affinity = DataMaps(3)
    affinity.observe(confidence=torch.full((3, 4), 0.25))
    assert affinity.matrix().tolist() == [[0.0] * 3] * 3


@given(seed=st.integers(0, 500), penalty=st.sampled_from([0.05, 0.3, 0.8]))
@settings(max_examples=20, deadline=None)
def test_the_lasso_satisfies_its_optimality_conditions(seed: int, penalty: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    heads = torch.randn(5, 4, generator=rng, dtype=torch.float64)
    target = torch.randn(4, generator=rng, dtype=torch.float64)
    inner = heads @ target
    nu = lasso(heads @ heads.T, inner, penalty)
    slope = inner - heads @ (heads.T @ nu)
    level = penalty * float(inner.abs().max())
    assert bool((slope.abs() <= level + 1e-6).all())
    assert torch.allclose(slope[nu != 0], level * nu[nu != 0].sign(), atol=1e-6)


def test_the_lasso_finds_the_sources_a_task_is_made_of() -> None:
    heads = torch.zeros(5, 6, dtype=torch.float64)
    heads[:4, :4] = torch.eye(4)
    heads[4, :2] = torch.tensor([3.0, -4.0])
    affinity = LassoRelevance(5, penalty=1e-6)
    affinity.observe(heads=heads)
    torch.testing.assert_close(
        affinity.matrix()[:4, 4], torch.tensor([0.6, 0.8, 0, 0], dtype=torch.float64), atol=1e-4, rtol=0
    )
    nothing = LassoRelevance(5, penalty=1.0)
    nothing.observe(heads=heads)
    assert not nothing.matrix()[:4, 4].any()


def test_a_task_without_readout_is_unknown_to_the_lasso() -> None:
    affinity = LassoRelevance(3)
    affinity.observe(heads=torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
    matrix = affinity.matrix()
    assert bool(matrix[1].isnan().all() and matrix[:, 1].isnan().all()) and float(matrix[0, 2]) > 0


def test_selection_takes_what_adds_to_the_target_and_stops() -> None:
    target, along, copy, across, against = (
        torch.tensor(v, dtype=torch.float64)
        for v in ([1.0, 1, 0], [1.0, 0, 0], [1.0, 0.01, 0], [0, 1.0, 0], [-1.0, 0, 0])
    )
    units = torch.stack([v / v.norm() for v in (target, copy, along, across, against)])
    # copy (cosine .71) covers half; along adds all that is missing of the plane; nothing is left for across to add.
    assert select(units, 0, 0.1) == [1, 2]
    assert select(units, 0, 2.0) == [1]
    affinity = TaskSelection(5, margin=0.1)
    affinity.observe(means=torch.stack([target, copy, along, across, against]))
    column = affinity.matrix()[:, 0]
    assert float(column[2]) == pytest.approx(math.sqrt(0.5)) and column[3:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("make", [lambda: TaskSelection(3, margin=-0.1), lambda: LassoRelevance(3, penalty=-1.0)])
def test_negative_settings_are_refused(make: object) -> None:
    with pytest.raises(ConfigurationError, match="0 or more"):
        make()  # type: ignore[operator]


def test_compression_knows_copies_from_strangers() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(16_000) < 0.2
    noisy = np.where(rng.random(16_000) < 0.05, ~label, label)
    stranger = rng.random(16_000) < 0.5
    affinity = CompressionDistance(4)
    affinity.observe(labels=torch.from_numpy(np.stack([label, ~label, noisy, stranger]).astype(np.int64)))
    matrix = affinity.matrix()
    assert float(matrix[0, 1]) > 0.95 and 0.3 < float(matrix[0, 2]) < 0.9 and abs(float(matrix[0, 3])) < 0.06


def test_compression_is_the_formula_on_raw_lzma() -> None:
    rng = np.random.default_rng(1)
    a = (rng.random(500) < 0.4).astype(np.uint8)
    b = np.where(rng.random(500) < 0.3, 1 - a, a).astype(np.uint8)
    flip = [np.where(c == np.bincount(c).argmax(), 0, 1).astype(np.uint8) for c in (a, b)]
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]

    def size(x: np.ndarray) -> int:
        return len(lzma.compress(x.tobytes(), lzma.FORMAT_RAW, filters=filters))

    idle = size(np.zeros(500, np.uint8))
    ca, cb, ab, ba = (size(x) - idle for x in (*flip, flip[0] * 16 + flip[1], flip[1] * 16 + flip[0]))
    both = min(ab, ba)
    affinity = CompressionDistance(2)
    affinity.observe(labels=torch.from_numpy(np.stack([a, b]).astype(np.int64)))
    assert float(affinity.matrix()[0, 1]) == pytest.approx(1 - (both - min(ca, cb)) / max(ca, cb))


def test_constant_labels_tell_nothing_and_unknown_compressors_are_named() -> None:
    affinity = CompressionDistance(2)
    affinity.observe(labels=torch.stack([torch.zeros(50, dtype=torch.int64), torch.arange(50) % 2]))
    assert bool(affinity.matrix()[0, 1].isnan())
    with pytest.raises(ConfigurationError, match="Did you mean 'zlib'"):
        CompressionDistance(2, compressor="zlip")  # type: ignore[arg-type]
