"""JEST: what is chosen, in what proportions, and that learnable rows win."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from accord.errors import ConfigurationError
from accord.sampling import JEST
from accord.sampling.jest import draw


@pytest.mark.parametrize(("rows", "ratio", "chunks", "size"), [(100, 0.8, 16, 20), (7, 0.5, 16, 4), (1, 0.9, 4, 1)])
@pytest.mark.parametrize("pairs", [False, True])
def test_as_many_rows_as_asked_for_and_none_twice(rows, ratio, chunks, size, pairs) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (rows, rows) if pairs else (rows,)
    jest = JEST(ratio, chunks)
    learner = 100 * torch.rand(shape, generator=generator)  # gaps at which exponentials overflow float32
    kept = jest(learner, torch.zeros(shape))
    assert len(kept) == len(set(kept.tolist())) == size
    assert kept.dtype == torch.int64 and kept.min() >= 0 and kept.max() < rows


def sequence_probability(order: tuple[int, ...], weights: np.ndarray) -> float:
    """Probability of drawing these, one by one without replacement, by the definition."""
    left, product = weights.sum(), 1.0
    for index in order:
        product *= weights[index] / left
        left -= weights[index]
    return product


def test_draws_without_replacement_follow_their_law() -> None:
    weights = np.array([1.0, 2.0, 4.0, 3.0])
    pairs = list(itertools.permutations((0, 1, 2), 2))
    seen = dict.fromkeys(pairs, 0)
    generator = np.random.default_rng(0)
    for _ in range(3000):
        first, second = draw(generator, np.log(weights), np.array([3]), 2).tolist()
        seen[first, second] += 1
    expected = [3000 * sequence_probability(pair, weights[:3]) for pair in pairs]
    assert stats.chisquare(list(seen.values()), expected).pvalue > 1e-4


def test_a_second_chunk_depends_on_the_first_as_the_pairs_say() -> None:
    """Two of three rows, one by one: the first uniform, the second by L_ii + L_ij + L_ji."""
    scores = torch.tensor([[0.1, 0.8, -0.5], [0.3, -0.2, 0.4], [0.0, -1.0, 0.5]], dtype=torch.float64)
    seen = np.zeros((3, 3))
    jest = JEST(ratio=1 / 3, chunks=2)
    for _ in range(3000):
        first, second = jest(scores, torch.zeros(3, 3)).tolist()
        seen[first, second] += 1
    expected = np.zeros((3, 3))
    for first in range(3):
        others = [index for index in range(3) if index != first]
        grown = [math.exp(scores[i, i] + scores[i, first] + scores[first, i]) for i in others]
        for other, each in zip(others, grown, strict=True):
            expected[first, other] = 3000 / 3 * each / sum(grown)
    mask = expected > 0
    assert seen[~mask].sum() == 0
    assert stats.chisquare(seen[mask], expected[mask]).pvalue > 1e-4


def test_learnable_rows_are_preferred_to_noise_and_to_what_is_known() -> None:
    learner = torch.cat([torch.full((40,), 3.0), torch.full((40,), 3.0), torch.full((40,), 0.1)])
    reference = torch.cat([torch.full((40,), 0.1), torch.full((40,), 3.0), torch.full((40,), 0.1)])
    kinds = torch.zeros(3)
    jest = JEST(ratio=0.9, chunks=4, gain=2.0)
    for _ in range(50):
        kinds += torch.bincount(jest(learner, reference) // 40, minlength=3)
    # Two of three rows of the first chunk (a quarter) are of other kinds; after it almost none is.
    assert kinds[0] / kinds.sum() > 0.8


def test_without_gain_all_rows_are_alike() -> None:
    seen = torch.zeros(6)
    jest = JEST(ratio=0.5, chunks=3, gain=0.0)
    for _ in range(400):
        seen[jest(torch.arange(6.0), torch.zeros(6))] += 1
    assert stats.chisquare(seen.numpy()).pvalue > 1e-4  # without replacement counts vary less: the test is lenient


def test_it_resumes() -> None:
    losses = torch.arange(40.0) / 10
    jest, again = JEST(), JEST()
    jest(losses, torch.zeros(40))
    again.load_state_dict(jest.state_dict())
    assert torch.equal(jest(losses, torch.zeros(40)), again(losses, torch.zeros(40)))


@pytest.mark.parametrize(
    ("learner", "reference", "words"),
    [
        (torch.zeros(3), torch.zeros(4), "one per row"),
        (torch.zeros(3, 4), torch.zeros(3, 4), "one per pair"),
        (torch.tensor([1.0, float("nan")]), torch.zeros(2), "not finite"),
    ],
)
def test_bad_losses_are_refused(learner, reference, words) -> None:
    with pytest.raises(ConfigurationError, match=words):
        JEST()(learner, reference)
