"""Properties that some aggregators have and others have not; each method's tests say which it claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from accord.balancer import GramianAggregator, gramian_of
from accord.testing.aggregator_contract import Factory, close, size
from accord.testing.cases import WELL_POSED, Case, explore

# How far a direction may point against a gradient, in the terms: the cosine below 0.
CONFLICT = 1e-5


def unanimous(factory: Factory, examples: int) -> None:
    """T equal gradients give that gradient back: the common scale."""

    def check(case: Case) -> None:
        gradient = case.jacobian()[:1]
        close(factory()(gradient.expand(case.tasks, -1)), gradient[0], size(gradient), 1e-8, "equal gradients")

    explore(check, exponents=(0, -20, 20), families=WELL_POSED, examples=examples)


def within_scale(factory: Factory, examples: int) -> None:
    """The direction is never longer than the longest gradient."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        length = float(factory()(jacobian).norm())
        assert length <= (1 + 1e-6) * size(jacobian), f"{length / size(jacobian):.3g} times the longest gradient"

    explore(check, examples=examples)


def permutation_equivariant(factory: Factory, examples: int) -> None:
    """The order of the tasks does not matter."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        shuffled = jacobian[torch.from_numpy(case.rng.permutation(case.tasks))]
        close(factory()(shuffled), factory()(jacobian), size(jacobian), 1e-7, "tasks in another order")

    explore(check, families=(*WELL_POSED, "duplicates", "low rank"), examples=examples)


def non_conflicting(factory: Factory, examples: int) -> None:
    """No gradient has a negative inner product with the direction, at any relative scale of the tasks.

    The cosine is at least -1e-5. Gradients that cancel leave a direction that is itself rounding, so what is within
    rounding of the lengths that were added up is no conflict either.
    """

    def check(case: Case) -> None:
        for dtype in (torch.float64, torch.float32):
            jacobian = case.jacobian(dtype)
            direction = factory()(jacobian).double()
            rows = jacobian.double()
            overlap = rows @ direction / rows.norm(dim=1).clamp(min=1e-300)
            rounding = max(8 * case.tasks * torch.finfo(dtype).eps, 1e-11) * _added_up(factory, jacobian)
            worst = float(overlap.min())
            assert worst >= -CONFLICT * float(direction.norm()) - rounding, (
                f"cosine {worst / float(direction.norm()):.1e} in {dtype}"
            )

    explore(check, families=NON_TRIVIAL, examples=examples)


def _added_up(factory: Factory, jacobian: torch.Tensor) -> float:
    """Return the sum of the lengths of what the direction is made of."""
    aggregator = factory()
    lengths = jacobian.double().norm(dim=1)
    if isinstance(aggregator, GramianAggregator):
        return float(aggregator.weights(gramian_of(jacobian)).abs().double() @ lengths)
    return float(lengths.sum())


NON_TRIVIAL = ("decades", "dense", "low rank", "one line", "duplicates", "zero rows", "opposed", "nearly opposed")


def convex(factory: Factory, examples: int) -> None:
    """The weights are feasible: on the simplex."""

    def check(case: Case) -> None:
        aggregator = factory()
        assert isinstance(aggregator, GramianAggregator), "only a method with weights can claim that they are convex"
        weights = aggregator.weights(gramian_of(case.jacobian()))
        assert float(weights.min()) >= 0, f"negative weight {float(weights.min())}"
        assert abs(float(weights.sum()) - 1) <= 1e-9, f"the weights sum to {float(weights.sum())}"

    explore(check, examples=examples)


def rests_when_stationary(factory: Factory, examples: int) -> None:
    """Where a positive combination of the gradients is 0, so is the direction."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        close(factory()(jacobian), torch.zeros(case.parameters), size(jacobian), 1e-5, "Pareto stationary")

    explore(check, families=("balanced", "opposed"), smallest=2, examples=examples)


def loss_scale_invariant(factory: Factory, examples: int) -> None:
    """Multiplying any loss by a positive number does not turn the direction."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        factors = torch.from_numpy(10.0 ** case.rng.uniform(-4, 4, (case.tasks, 1)))
        before, after = factory()(jacobian), factory()(factors * jacobian)
        close(after / after.norm(), before / before.norm(), 1.0, 1e-6, "losses multiplied")

    explore(check, families=("agreeing",), examples=examples)


def linear_in_scales(factory: Factory, examples: int) -> None:
    """The direction is linear in the scale of each single gradient: ``A(D J)`` is linear in the diagonal ``D > 0``."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        one, two = (torch.from_numpy(np.exp(case.rng.normal(size=(case.tasks, 1)) * spread)) for spread in (1.0, 2.0))
        both = factory()((one + two) * jacobian)
        close(both, factory()(one * jacobian) + factory()(two * jacobian), size((one + two) * jacobian), 1e-7, "scales")

    explore(check, families=(*WELL_POSED, "duplicates", "zero rows"), examples=examples)


AGGREGATOR_CLAIMS: dict[str, Callable[[Factory, int], None]] = {
    "unanimous": unanimous,
    "within_scale": within_scale,
    "permutation_equivariant": permutation_equivariant,
    "non_conflicting": non_conflicting,
    "convex": convex,
    "rests_when_stationary": rests_when_stationary,
    "loss_scale_invariant": loss_scale_invariant,
    "linear_in_scales": linear_in_scales,
}
