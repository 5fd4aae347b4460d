"""What every aggregator must do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from accord.balancer import Aggregator, GramianAggregator, gramian_of
from accord.errors import NonFiniteError
from accord.testing.cases import WELL_POSED, Case, explore

Factory = Callable[[], Aggregator]
SCALES = (0, -20, 20)


def size(jacobian: Tensor) -> float:
    """Return the length of the longest gradient, the unit in which directions are compared."""
    return float(jacobian.double().norm(dim=1).max())


def close(found: Tensor, wanted: Tensor, unit: float, tolerance: float, what: str) -> None:
    """Assert that two directions differ by at most ``tolerance`` times ``unit``."""
    gap = float((found.double() - wanted.double()).norm())
    assert gap <= tolerance * unit, f"{what}: off by {gap / max(unit, 1e-300):.1e} of the longest gradient"


def gives_a_finite_direction(factory: Factory, examples: int) -> None:
    """Any finite Jacobian, of any rank, scale and precision, gives a finite direction and is left as it was."""

    def check(case: Case) -> None:
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            jacobian = case.jacobian(dtype)
            before = jacobian.clone()
            direction = factory()(jacobian)
            assert direction.shape == jacobian.shape[1:], f"a Jacobian [T, P] gives [P]; got {tuple(direction.shape)}"
            assert direction.dtype == dtype, f"the direction has the Jacobian's dtype; got {direction.dtype}"
            assert bool(direction.isfinite().all()), f"the direction is not finite in {dtype}"
            assert not direction.requires_grad, "the direction requires a gradient; it goes into .grad, so detach it"
            assert torch.equal(jacobian, before), "the Jacobian was changed in place"

    explore(check, exponents=SCALES, examples=examples)


def is_homogeneous(factory: Factory, examples: int) -> None:
    """``A(c J) = c A(J)`` for positive ``c``."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        unit = size(jacobian)
        for factor in (2.0**60, 2.0**-60):  # powers of two, which round nothing, serve the ill-posed cases too
            close(factory()(factor * jacobian) / factor, factory()(jacobian), unit, 1e-9, f"A({factor} J)")

    explore(check, examples=examples)


def keeps_a_single_gradient(factory: Factory, examples: int) -> None:
    """With one task, the direction is its gradient."""

    def check(case: Case) -> None:
        gradient = case.jacobian()[:1]
        close(factory()(gradient), gradient[0], size(gradient), 1e-9, "T = 1")

    explore(check, exponents=SCALES, examples=examples)


def rests_at_zero(factory: Factory, examples: int) -> None:
    """If every gradient is 0 so is the direction."""

    def check(case: Case) -> None:
        assert not factory()(torch.zeros(case.tasks, case.parameters)).any(), "gradients of 0 gave a direction"

    explore(check, examples=min(examples, 5))


def leaves_inactive_tasks_out(factory: Factory, examples: int) -> None:
    """Rows and losses of inactive tasks, NaN among them, play no part; without an active task the direction is 0.

    With the losses or without: :func:`accord.backward` always gives them.
    """

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        active = torch.from_numpy(case.rng.random(case.tasks) < 0.6)
        spoiled = torch.where(active[:, None], jacobian, torch.nan)
        drawn = torch.from_numpy(case.rng.uniform(0.1, 2.0, case.tasks))
        for losses in (None, drawn):
            known, seen = (None, None) if losses is None else (torch.where(active, losses, torch.nan), losses[active])
            aggregator = factory()
            direction = aggregator(spoiled, losses=known, active=active)
            wanted = factory()(jacobian[active], losses=seen) if active.any() else torch.zeros(case.parameters)
            close(direction, wanted, size(jacobian), 1e-9, "with inactive tasks")
            later = aggregator(jacobian, losses=losses)
            assert bool(later.isfinite().all()), "a later step saw an inactive task's NaN"

    explore(check, families=(*WELL_POSED, "duplicates"), examples=examples)


def names_what_is_not_finite(factory: Factory, examples: int) -> None:
    """A NaN or infinity in an active row raises :class:`NonFiniteError`."""

    def check(case: Case) -> None:
        jacobian = case.jacobian()
        for bad in (torch.nan, torch.inf, -torch.inf):
            jacobian[case.seed % case.tasks, 0] = bad
            try:
                factory()(jacobian)
            except NonFiniteError:
                continue
            raise AssertionError(f"a Jacobian with {bad} in it was accepted")

    explore(check, examples=min(examples, 10))


def resumes(factory: Factory, examples: int) -> None:
    """A fresh instance that loads ``state_dict`` goes on bit for bit as the one that saved it."""

    def check(case: Case) -> None:
        steps = [Case(case.family, case.tasks, case.parameters, seed=case.seed + step).jacobian() for step in range(4)]
        first, second = factory(), factory()
        for jacobian in steps[:2]:
            first(jacobian)
        second.load_state_dict(first.state_dict())
        for jacobian in steps[2:]:
            assert torch.equal(first(jacobian), second(jacobian)), "a resumed instance went another way"

    explore(check, examples=min(examples, 10))


def applies_its_weights(factory: Factory, examples: int) -> None:
    """Where there are weights, the direction is their combination of the gradients, and inactive ones are 0."""

    def check(case: Case) -> None:
        aggregator, again = factory(), factory()
        if not isinstance(aggregator, GramianAggregator) or not isinstance(again, GramianAggregator):
            return
        jacobian = case.jacobian()
        active = torch.from_numpy(case.rng.random(case.tasks) < 0.7)
        gramian = gramian_of(torch.where(active[:, None], jacobian, 0.0))
        weights = aggregator.weights(gramian, active=active)
        assert weights.shape == (case.tasks,) and weights.dtype == gramian.dtype, "weights are [T], as the Gramian"
        assert not weights[~active].any(), "an inactive task has a weight"
        close(again(jacobian, active=active), weights @ jacobian, size(jacobian), 1e-9, "weights @ J")

    explore(check, examples=examples)


CONTRACT: tuple[Callable[[Factory, int], None], ...] = (
    gives_a_finite_direction,
    is_homogeneous,
    keeps_a_single_gradient,
    rests_at_zero,
    leaves_inactive_tasks_out,
    names_what_is_not_finite,
    resumes,
    applies_its_weights,
)
