"""A session transformer that is told a preference: what it sees, what it minimises, and that it obeys."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.pareto import MultiTRON, simplex_grid


def small(**options) -> MultiTRON:
    return MultiTRON(
        **{"items": 6, "hidden": 8, "layers": 2, "length": 5, "dropout": 0.0, **options},
        generator=torch.Generator().manual_seed(0),
    )


HALF = tensor([0.5, 0.5])


def test_a_place_sees_neither_what_comes_after_it_nor_padding() -> None:
    model = small().eval()
    first = model(tensor([[1, 2, 3, 4]]), HALF)
    other = model(tensor([[1, 2, 5, 6]]), HALF)
    torch.testing.assert_close(first[:, :2], other[:, :2])
    assert not torch.allclose(first[:, 2:], other[:, 2:])
    padded = model(tensor([[0, 1, 2, 3, 4]]), HALF)
    torch.testing.assert_close(padded[:, 1:], first)
    assert bool(padded.isfinite().all())


def test_the_preference_matters_and_many_take_one_pass() -> None:
    model, sessions = small().eval(), tensor([[0, 1, 2], [3, 4, 5]])
    together = model(sessions, simplex_grid(2, 2).float())
    alone = torch.stack([model(sessions, one) for one in simplex_grid(2, 2)])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[0], together[2])
    torch.testing.assert_close(model.solution(HALF)(sessions), alone[1])
    with pytest.raises(ConfigurationError, match="at most 5"):
        model(torch.ones(1, 6, dtype=torch.int64), HALF)


def test_event_losses_by_hand() -> None:
    model = small(items=3, hidden=2)
    with torch.no_grad():
        model.embedding.weight.copy_(tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]))
    encoded = tensor([[[1.0, 3.0], [9.0, 9.0]]])
    # The next item is 1 (score 1), ordered; negatives 2 (3), 3 (2), and 1, which is no negative of itself.
    clicked, ordered, negatives = tensor([[1, 0]]), tensor([[1, 0]]), tensor([2, 3, 1])
    (found,) = model.event_losses(encoded, clicked, ordered, negatives).tolist()
    assert found == pytest.approx([math.log(math.e + math.exp(3) + math.exp(2)) - 1, math.log(1 + math.exp(-1))])
    (top,) = model.event_losses(encoded, clicked, ordered, negatives, top=1).tolist()
    assert top[0] == pytest.approx(math.log(math.e + math.exp(3)) - 1)
    assert model.scores(encoded)[0, 0].tolist() == [0.0, 1.0, 3.0, 2.0]


def test_the_objective_by_hand() -> None:
    model = small(penalty=2.0)
    even = model.objective(tensor([3.0, 1.0]), tensor([0.25, 0.75]))
    assert float(even) == pytest.approx(1.5)  # 0.75 each: no more than the sum
    uneven = model.objective(tensor([[1.0, 1.0], [3.0, 1.0]]), tensor([[1.0, 0.0], [0.25, 0.75]]))
    assert float(uneven) == pytest.approx((1.0 + 2.0 * math.log(2.0) + 1.5) / 2)


def test_one_model_learns_the_whole_front_of_two_wishes() -> None:
    """One objective wants item 2 next, the other item 3: the weighted sum's minimum recommends them as preferred."""
    model = small(items=3, layers=1, penalty=0.0, concentration=1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(1)

    def log_shares(preference: torch.Tensor) -> torch.Tensor:
        return model.scores(model(tensor([[1]]), preference)[0, -1], tensor([1, 2, 3])).log_softmax(dim=0)

    for _ in range(300):
        (preference,) = model.sample(generator)
        optimiser.zero_grad()
        model.objective(-log_shares(preference)[1:], preference).backward()
        optimiser.step()
    for first in (0.2, 0.5, 0.8):
        shares = log_shares(tensor([first, 1 - first])).exp().tolist()
        assert shares == pytest.approx([0.0, first, 1 - first], abs=0.08)


@pytest.mark.parametrize("options", [{"items": 0}, {"dropout": 1.0}, {"penalty": -1.0}, {"tasks": 1}])
def test_bad_options_are_refused(options) -> None:
    with pytest.raises(ConfigurationError):
        small(**options)
