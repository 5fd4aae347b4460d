"""What every weighting must do, and what some of them claim."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from accord.balancer import Weighting
from accord.errors import NonFiniteError
from accord.testing.cases import Case, explore

# Makes a fresh weighting for a number of tasks.
Factory = Callable[[int], Weighting]
SCALES = (0, -20, 20)
SIZES = ("agreeing",)


def steps_of(case: Case, count: int = 4) -> list[tuple[Tensor, Tensor]]:
    """Return ``count`` steps of training: positive losses ``[T]`` that fall at different rates, and Gramians."""
    rows = Case(case.family, case.tasks, count, case.exponent, case.seed).jacobian()
    losses = torch.cumprod(rows / 10.0**case.exponent, dim=1).T * 10.0**case.exponent
    gradients = [Case("dense", case.tasks, 5, case.exponent // 2, case.seed + step).jacobian() for step in range(count)]
    return [(row.clone(), rows @ rows.T) for row, rows in zip(losses, gradients, strict=True)]


def gives_finite_weights(factory: Factory, examples: int) -> None:
    """Positive losses of any scale give finite, non-negative weights, and are left as they were."""

    def check(case: Case) -> None:
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            weighting = factory(case.tasks)
            for numbers, gramian in steps_of(case):
                losses = numbers.to(dtype)
                before = losses.clone()
                weights = weighting(losses, gramian=gramian)
                assert weights.shape == (case.tasks,), f"weights are [T]; got {tuple(weights.shape)}"
                assert bool(weights.isfinite().all()) and float(weights.min()) >= 0, f"weights {weights.tolist()}"
                assert not weights.requires_grad, "weights are numbers; gradients flow through objective()"
                assert torch.equal(losses, before), "the losses were changed in place"

    explore(check, families=SIZES, exponents=SCALES, examples=examples)


def descends_its_weights(factory: Factory, examples: int) -> None:
    """The slope of ``objective`` in each loss is that loss's weight."""

    def check(case: Case) -> None:
        one, two = factory(case.tasks), factory(case.tasks)
        for losses, gramian in steps_of(case):
            probe = losses.requires_grad_()
            (slope,) = torch.autograd.grad(two.objective(probe, gramian=gramian), probe)
            weights = one(losses, gramian=gramian).to(slope)
            assert torch.allclose(slope, weights, rtol=1e-6, atol=0), (
                f"the objective's slope in the losses is {slope.tolist()}, the weights are {weights.tolist()}"
            )

    explore(check, families=SIZES, examples=examples)


def leaves_inactive_tasks_out(factory: Factory, examples: int) -> None:
    """Inactive tasks weigh 0 whatever their loss, NaN included, and cast no shadow on later steps."""

    def check(case: Case) -> None:
        weighting = factory(case.tasks)
        for losses, gramian in steps_of(case):
            active = torch.from_numpy(case.rng.random(case.tasks) < 0.6)
            spoiled = torch.where(active, losses, torch.nan)
            known = torch.where(active[:, None] & active, gramian, torch.nan)
            weights = weighting(spoiled, gramian=known, active=active)
            assert not weights[~active].any(), "an inactive task has a weight"
            assert bool(weights.isfinite().all()), "an inactive task's NaN reached another task"
            objective = weighting.objective(spoiled, gramian=known, active=active)
            assert bool(objective.isfinite()), "an inactive task's NaN reached the objective"
        losses, gramian = steps_of(case)[-1]
        assert bool(weighting(losses, gramian=gramian).isfinite().all()), "a later step saw an inactive task's NaN"

    explore(check, families=SIZES, examples=examples)


def resumes(factory: Factory, examples: int) -> None:
    """A fresh instance that loads ``state_dict`` goes on bit for bit as the one that saved it."""

    def check(case: Case) -> None:
        first, second = factory(case.tasks), factory(case.tasks)
        steps = steps_of(case, 6)
        for losses, gramian in steps[:3]:
            first(losses, gramian=gramian)
        second.load_state_dict(first.state_dict())
        for losses, gramian in steps[3:]:
            one, two = (each(losses, gramian=gramian) for each in (first, second))
            assert torch.equal(one, two), "a resumed instance went another way"

    explore(check, families=SIZES, examples=min(examples, 10))


def averages_at_first(factory: Factory, examples: int) -> None:
    """The first step is plain averaging, over whichever tasks are active."""

    def check(case: Case) -> None:
        losses, gramian = steps_of(case)[0]
        weights = factory(case.tasks)(losses, gramian=gramian)
        assert torch.allclose(weights, torch.full_like(weights, 1 / case.tasks), rtol=1e-6), weights.tolist()

    explore(check, families=SIZES, exponents=SCALES, examples=examples)


def on_simplex(factory: Factory, examples: int) -> None:
    """The weights of the active tasks always sum to 1."""

    def check(case: Case) -> None:
        weighting = factory(case.tasks)
        for losses, gramian in steps_of(case):
            active = torch.from_numpy(case.rng.random(case.tasks) < 0.6)
            total = float(weighting(losses, gramian=gramian, active=active).sum())
            assert abs(total - float(active.any())) <= 1e-6, f"the weights sum to {total}"

    explore(check, families=SIZES, exponents=SCALES, examples=examples)


def permutation_equivariant(factory: Factory, examples: int) -> None:
    """The order of the tasks does not matter."""

    def check(case: Case) -> None:
        one, two = factory(case.tasks), factory(case.tasks)
        order = torch.from_numpy(case.rng.permutation(case.tasks))
        for losses, gramian in steps_of(case):
            shuffled = two(losses[order], gramian=gramian[order][:, order])
            wanted = one(losses, gramian=gramian)[order]
            assert torch.allclose(shuffled, wanted, rtol=1e-6), "tasks in another order have other weights"

    explore(check, families=SIZES, examples=examples)


def loss_scale_invariant(factory: Factory, examples: int) -> None:
    """Multiplying all losses, and so all gradients, by one positive number changes no weight."""

    def check(case: Case) -> None:
        one, two = factory(case.tasks), factory(case.tasks)
        factor = 2.0**20
        for losses, gramian in steps_of(case):
            scaled = two(factor * losses, gramian=factor**2 * gramian)
            wanted = one(losses, gramian=gramian)
            assert torch.allclose(scaled, wanted, rtol=1e-6), "losses times a number have other weights"

    explore(check, families=SIZES, examples=examples)


def names_what_is_not_finite(factory: Factory, examples: int) -> None:
    """A NaN or infinite loss of an active task raises :class:`NonFiniteError` and leaves no trace in the state."""

    def check(case: Case) -> None:
        losses, gramian = steps_of(case)[0]
        for bad in (torch.nan, torch.inf):
            losses[case.seed % case.tasks] = bad
            try:
                factory(case.tasks)(losses, gramian=gramian)
            except NonFiniteError:
                continue
            raise AssertionError(f"a loss of {bad} was accepted")

    explore(check, families=SIZES, examples=min(examples, 10))


CONTRACT: tuple[Callable[[Factory, int], None], ...] = (
    gives_finite_weights,
    descends_its_weights,
    leaves_inactive_tasks_out,
    resumes,
)

WEIGHTING_CLAIMS: dict[str, Callable[[Factory, int], None]] = {
    "averages_at_first": averages_at_first,
    "on_simplex": on_simplex,
    "permutation_equivariant": permutation_equivariant,
    "loss_scale_invariant": loss_scale_invariant,
    "names_what_is_not_finite": names_what_is_not_finite,
}
