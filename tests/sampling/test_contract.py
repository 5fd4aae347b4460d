"""What every sampler keeps to: counts that add up, states that resume bit for bit, draws that follow its law."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.sampling.samplers import MIXTURES, SAMPLERS, tell

from accord.balancer import Balancer
from accord.errors import ConfigurationError
from accord.registry import find, registered
from accord.sampling import Sampler, Temperature, Uniform, Unmixed
from accord.sampling.mixture import Mixture

# Each distribution test rejects a correct sampler with this probability; there are fewer than 60 of them. Seeds are
# fixed, so that what passes once passes always.
ERROR_RATE = 1e-4


def test_every_sampler_of_the_room_is_tried() -> None:
    tried = {name.split("-")[0] for name in SAMPLERS}
    assert tried == {name for name, cls in registered("sampling").items() if issubclass(cls, Sampler)}


@pytest.mark.parametrize("name", registered("sampling"))
def test_no_sampler_is_a_balancer(name: str) -> None:
    assert not issubclass(find(name), Balancer)
    with pytest.raises(ConfigurationError, match="unknown weighting or aggregation"):
        find(name, "weighting", "aggregation")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_counts_add_up(name: str, tasks: int) -> None:
    sampler = SAMPLERS[name](tasks)
    for step, rows in enumerate((1, 7, 64, 7, 1, 64, 3, 8)):
        counts = sampler(rows)
        assert counts.dtype == torch.int64 and counts.shape == (tasks,)
        assert (counts >= 0).all() and counts.sum() == rows
        tell(sampler, counts, step)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_resumed_sampler_goes_on_bit_for_bit(name: str) -> None:
    first, second = SAMPLERS[name](4), SAMPLERS[name](4)
    for step in range(7):
        tell(first, first(9), step)
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    for step in range(7, 20):
        counts = first(9)
        assert torch.equal(counts, second(9))
        tell(first, counts, step)
        tell(second, counts, step)
    for (key, value), (_, other) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(value.nan_to_num(7.0), other.nan_to_num(7.0)), key


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_batch_size_of_its_own_for_each_task(name: str) -> None:
    sampler = SAMPLERS[name](3)
    for step in range(6):
        counts = sampler([40, 10, 4])
        share = counts / torch.tensor([40.0, 10.0, 4.0])
        # Up to a row of rounding per task, the shares of one batch add up to 1.
        assert (share <= 1 + 1 / 4).all() and abs(float(share.sum()) - 1) < 1 / 40 + 1 / 10 + 1 / 4
        tell(sampler, counts, step)


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("mix", ["rows", "unmixed"])
def test_draws_follow_the_probabilities(name: str, mix) -> None:
    sampler = MIXTURES[name](4, mix)
    assert isinstance(sampler, Mixture)
    for step in range(8):  # past the end of the schedules
        tell(sampler, sampler(16), step)
    p = sampler.probabilities()
    rows, draws = (400, 5) if mix == "rows" else (1, 1000)
    found = torch.stack([sampler(rows) for _ in range(draws)]).sum(dim=0)
    expected = p * found.sum()
    open_ = expected > 0
    assert found[~open_].sum() == 0
    if open_.sum() > 1:
        merged = expected[open_] >= 5  # the approximation needs five; rarer tasks are taken together
        seen, due = found[open_].double(), expected[open_]
        seen = torch.cat([seen[merged], seen[~merged].sum()[None]])
        due = torch.cat([due[merged], due[~merged].sum()[None]])
        assert stats.chisquare(seen[due > 0].numpy(), due[due > 0].numpy()).pvalue > ERROR_RATE


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=8),
    rows=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_shares_are_kept_to_the_row(weights: list[int], rows: int, seed: int) -> None:
    sampler = Temperature(weights, temperature=1.0, mix="shares", seed=seed)
    exact = torch.tensor(weights, dtype=torch.float64) * rows / sum(weights)
    counts = sampler(rows)
    assert counts.sum() == rows
    assert ((counts >= (exact - 1e-6).floor()) & (counts <= (exact + 1e-6).ceil())).all()
    assert (counts[exact >= 1] > 0).all()  # nobody with a row or more is left out


def test_rounding_is_fair() -> None:
    """Shares of 1/3 of 4 rows: each task has its second row in a third of the batches."""
    sampler = Uniform(3, mix="shares")
    drawn = torch.stack([sampler(4) for _ in range(900)])
    assert set(drawn.unique().tolist()) == {1, 2}
    extra = (drawn - 1).sum(dim=0).numpy()
    assert stats.chisquare(extra).pvalue > ERROR_RATE


def test_unmixed_batches_are_of_one_task_and_of_its_size() -> None:
    sampler = Unmixed([1.0, 2.0, 3.0])
    for _ in range(30):
        counts = sampler([5, 6, 7])
        (task,) = counts.nonzero().flatten().tolist()
        assert counts[task] == 5 + task


@pytest.mark.parametrize("mix", ["rows", "shares", "unmixed"])
def test_expected_rows_are_shares_of_own_batch_sizes(mix) -> None:
    sampler = Temperature([1, 3], temperature=1.0, mix=mix)
    mean = torch.stack([sampler([10, 3]) for _ in range(1500)]).double().mean(dim=0)
    # Five standard errors, of at most 10 * 0.5 and 3 * 0.5 rows per draw (an error rate below 1e-6).
    assert abs(mean[0] - 2.5) < 5 * 5 / 1500**0.5 and abs(mean[1] - 2.25) < 5 * 1.5 / 1500**0.5


@pytest.mark.parametrize("rows", [0, -1, [4, 4], [4, 4, 0], 2.5, [1.0, 2.0, 3.0]])
def test_a_batch_that_is_none_is_refused(rows) -> None:
    with pytest.raises(ConfigurationError, match="a batch is a positive number of rows, or 3 of them"):
        Uniform(3)(rows)


def test_news_must_fit() -> None:
    sampler = SAMPLERS["exp3"](3)
    with pytest.raises(ConfigurationError, match=r"Exp3 learns from rewards: pass observe\(rewards"):
        sampler.observe(losses=[1.0, 2.0, 3.0])
    with pytest.raises(ConfigurationError, match=r"rewards must have shape \[3\]; got \[2\]"):
        sampler.observe(rewards=[0.1, 0.2])
    with pytest.raises(ConfigurationError, match="takes rewards from 0 to 1"):
        sampler.observe(rewards=[0.1, 0.2, 1.2])
    Uniform(3).observe(losses=[1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(0),
        lambda: Temperature([3, 0]),
        lambda: Temperature([3, 1], temperature=0.0),
        lambda: Unmixed([1.0, float("inf")]),
        lambda: Temperature([]),
    ],
)
def test_impossible_mixtures_are_refused(make) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        make()


def test_a_mistyped_way_to_mix_is_suggested() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'unmixed'"):
        Uniform(2, mix="unmix")  # pyright: ignore[reportArgumentType]
