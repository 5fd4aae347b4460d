"""The kit passes what is sound and names what is not: one broken balancer per property."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from accord.aggregation import Aggregator, GramianAggregator, Mean, StatelessGramianAggregator
from accord.errors import ConfigurationError
from accord.testing import AGGREGATOR_CLAIMS, check_aggregator, check_weighting
from accord.weighting import DirectWeighting, Fixed


class Solving(StatelessGramianAggregator):
    """A Gramian aggregator from a function."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def solve(self, gramian: Tensor) -> Tensor:
        return self.rule(gramian)


class Raw(Aggregator):
    """An aggregator from a function of the Jacobian."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, jacobian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return self.rule(jacobian if active is None else jacobian[active])


class Forgetful(GramianAggregator):
    """Weighs by a count that is no buffer."""

    calls = 0

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        self.calls += 1
        return Mean().weights(gramian, active=active) * self.calls / self.calls**2


class Blind(Aggregator):
    """Does not take the losses, which every step shows."""

    def forward(self, jacobian: Tensor, *, active: Tensor | None = None) -> Tensor:
        return Mean()(jacobian, active=active)


class Remembering(GramianAggregator):
    """Keeps what it was shown of tasks that took no part."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        weights = Mean().weights(gramian, active=active) * (1 + 0 * self.total)
        self.total = self.total + (0.0 if losses is None else losses.sum())
        return weights


def ones(gramian: Tensor) -> Tensor:
    return torch.ones(len(gramian), dtype=gramian.dtype)


BROKEN: dict[str, Callable[[], Aggregator]] = {
    "not finite": lambda: Solving(lambda gramian: (gramian / gramian.max()).log().mean(0)),
    "the longest gradient: off": lambda: Solving(lambda gramian: gramian.diagonal()),
    "changed in place": lambda: Raw(lambda jacobian: jacobian.mul_(2).mean(0)),
    "accepted": lambda: Raw(lambda jacobian: jacobian.nan_to_num(0, 0, 0).sum(0)),
    "another way": Forgetful,
    "requires a gradient": lambda: Solving(lambda gramian: (ones(gramian) / len(gramian)).requires_grad_()),
    "a later step saw": Remembering,
}


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - {"the longest gradient: off"}))
def test_breaches_of_the_contract_are_named(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        check_aggregator(BROKEN[name], examples=5)


def test_aggregators_are_shown_the_losses() -> None:
    with pytest.raises(TypeError, match="losses"):
        check_aggregator(Blind, examples=5)


def test_an_aggregator_that_squares_is_not_homogeneous() -> None:
    with pytest.raises(AssertionError, match=r"A\(|not finite|T = 1"):
        check_aggregator(BROKEN["the longest gradient: off"], examples=5)


def test_a_sound_aggregator_passes_and_false_claims_do_not() -> None:
    check_aggregator(Mean, ["unanimous", "convex"], examples=5)
    for claim in ("non_conflicting", "rests_when_stationary", "loss_scale_invariant"):
        with pytest.raises(AssertionError):
            check_aggregator(Mean, [claim], examples=25)


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        ("unanimous", ones),
        ("within_scale", ones),
        ("convex", lambda gramian: 0.5 * ones(gramian)),
        ("permutation_equivariant", lambda gramian: torch.eye(len(gramian), dtype=gramian.dtype)[0]),
        ("linear_in_scales", lambda gramian: ones(gramian) / gramian.diagonal().sqrt().clamp(min=1e-9)),
    ],
)
def test_each_claim_can_fail(claim: str, rule: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(AssertionError):
        AGGREGATOR_CLAIMS[claim](lambda: Solving(rule), 25)


class Scaled(DirectWeighting):
    """Weighs by a function of the losses."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return self.rule(losses.detach())


def test_weightings_are_checked_too() -> None:
    check_weighting(lambda _: Fixed(), ["on_simplex"], examples=5)
    with pytest.raises(AssertionError, match="weights"):
        check_weighting(lambda _: Scaled(lambda losses: -losses), examples=5)
    with pytest.raises(AssertionError, match="inactive"):
        check_weighting(lambda _: Scaled(torch.ones_like), examples=5)
    with pytest.raises(AssertionError, match="losses were changed in place"):
        check_weighting(lambda _: Scaled(lambda losses: Fixed()(losses.mul_(2))), examples=5)
    with pytest.raises(AssertionError, match="slope in the losses is"):
        check_weighting(lambda _: Bent(), examples=5)
    with pytest.raises(AssertionError, match="sum to"):
        check_weighting(lambda _: Doubled(), ["on_simplex"], examples=5)


class Doubled(DirectWeighting):
    """Twice what it should be."""

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return 2 * Fixed()(losses, active=active)


class Bent(Fixed):
    """Descends something else than it says."""

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return super().objective(losses, active=active) * 2


def test_unknown_claims_get_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'unanimous'"):
        check_aggregator(Mean, ["unanimus"])
    with pytest.raises(ConfigurationError, match="Did you mean 'on_simplex'"):
        check_weighting(lambda _: Fixed(), ["on_simplx"])


def test_without_hypothesis_the_kit_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from accord.aggregation import Mean\nfrom accord.testing import check_aggregator\n"
        "from accord.errors import MissingExtraError\n"
        "try: check_aggregator(Mean)\nexcept MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'accord.testing needs hypothesis, which is not installed: pip install "accord[testing]"' in done.stdout
