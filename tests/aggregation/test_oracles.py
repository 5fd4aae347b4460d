"""Each method against another way to the same answer: definitions on vectors, enumeration, decompositions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import minimize

from accord.aggregation import IMTLG, AlignedMTL, CAGrad, NashMTL, PCGrad, UPGrad
from accord.aggregation.pcgrad import surgery
from accord.errors import ConfigurationError

seeds = some.integers(0, 2**31)


def dense(seed: int, tasks: int, parameters: int, decades: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((tasks, parameters)) * 10.0 ** rng.uniform(-decades, decades, (tasks, 1))


def surgery_on_vectors(jacobian: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """PCGrad as its paper states it, on the gradients themselves."""
    projected = jacobian.copy()
    for i, order in enumerate(orders):
        for j in order:
            if j != i and projected[i] @ jacobian[j] < 0:
                projected[i] -= projected[i] @ jacobian[j] / (jacobian[j] @ jacobian[j]) * jacobian[j]
    return projected.mean(axis=0)


@given(seeds, some.integers(1, 12), some.integers(2, 20))
@settings(max_examples=60)
def test_pcgrad_on_the_gramian_is_pcgrad_on_vectors(seed: int, tasks: int, parameters: int) -> None:
    jacobian = dense(seed, tasks, parameters, decades=2)
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(tasks), (tasks, 1)), axis=1)
    found = surgery(jacobian @ jacobian.T, orders, np.arange(tasks)) @ jacobian
    unit = np.linalg.norm(jacobian, axis=1).max()
    assert np.linalg.norm(found - surgery_on_vectors(jacobian, orders)) < 1e-9 * unit


# Each pair conflicts, so that the order in which a gradient meets the others matters.
DISCORD = np.array([[1.0, 0.0, 0.2], [-0.5, 0.9, 0.2], [-0.3, -0.9, 0.2]])


def test_pcgrads_expectation_is_the_mean_over_its_orders() -> None:
    jacobian = DISCORD
    # Each gradient meets the other two in either order, independently: eight equally likely combinations.
    exact = np.mean(
        [surgery_on_vectors(jacobian, np.array(orders)) for orders in product(list(permutations(range(3))), repeat=3)],
        axis=0,
    )
    assert PCGrad(orders="all")(torch.from_numpy(jacobian)).numpy() == pytest.approx(exact, abs=1e-14)
    aggregator = PCGrad(seed=1)
    draws = np.stack([aggregator(torch.from_numpy(jacobian)).numpy() for _ in range(2000)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert error.max() > 1e-4, "these gradients do not depend on the order, so they test nothing"
    assert (np.abs(draws.mean(axis=0) - exact) < 5 * error + 1e-12).all()


def test_pcgrads_expectation_knows_no_order_of_tasks_and_says_where_it_ends() -> None:
    jacobian = torch.from_numpy(dense(3, 6, 8, decades=1))
    found = PCGrad(orders="all")(jacobian)
    assert torch.equal(PCGrad(orders="all")(jacobian[:1]), jacobian[0])
    assert torch.allclose(PCGrad(orders="all")(jacobian.flip(0)), found, rtol=0, atol=1e-12 * float(jacobian.norm()))
    with pytest.raises(ConfigurationError, match="9 tasks"):
        PCGrad(orders="all")(torch.eye(9))
    with pytest.raises(ConfigurationError, match="random"):
        PCGrad(orders="randm")  # pyright: ignore[reportArgumentType]


def test_pcgrads_order_is_its_own() -> None:
    jacobian = torch.from_numpy(DISCORD)
    torch.manual_seed(0)
    np.random.seed(0)
    first, again, other = PCGrad(seed=5), PCGrad(seed=5), PCGrad(seed=6)
    runs = [torch.stack([each(jacobian) for _ in range(6)]) for each in (first, again, other)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert torch.get_rng_state().equal(torch.Generator().manual_seed(0).get_state())


@pytest.mark.parametrize(("scale", "length"), [("min", np.min), ("rmse", lambda s: np.sqrt((s**2).mean()))])
@pytest.mark.parametrize("tasks", [2, 5, 20])
def test_aligned_jacobian_has_equal_singular_values(scale: str, length: object, tasks: int) -> None:
    jacobian = dense(tasks, tasks, 30)
    # Rows of the aligned Jacobian one by one: preferences on a single task.
    rows = np.stack(
        [AlignedMTL(scale, preference=row)(torch.from_numpy(jacobian)).numpy() for row in np.eye(tasks)]  # pyright: ignore
    )
    singular = np.linalg.svd(jacobian, compute_uv=False)
    wanted = length(singular)  # pyright: ignore[reportCallIssue]
    assert np.linalg.svd(rows, compute_uv=False) == pytest.approx(np.full(tasks, wanted), rel=1e-9)
    left, _, right = np.linalg.svd(jacobian, full_matrices=False)
    assert rows == pytest.approx(wanted * left @ right, abs=1e-9)  # and it is the nearest such matrix (Procrustes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_aligned_rank_is_not_read_off_the_noise(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    # Ten gradients in a plane: with eight singular values of rounding, "min" would shrink the step to rounding.
    jacobian = rng.standard_normal((10, 2)) @ rng.standard_normal((2, 500))
    smallest = np.linalg.svd(jacobian, compute_uv=False)[1]
    left, _, right = np.linalg.svd(jacobian, full_matrices=False)
    wanted = smallest * np.ones(10) / 10 @ left[:, :2] @ right[:2]
    found = AlignedMTL()(torch.from_numpy(jacobian).to(dtype)).numpy()
    assert np.linalg.norm(found - wanted) < 1e-4 * smallest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ratio", [1e4, 1e8, 1e12])
def test_a_short_gradient_is_no_noise_to_aligned_mtl(dtype: torch.dtype, ratio: float) -> None:
    rng = np.random.default_rng(1)
    for tasks in (2, 5):
        jacobian = rng.standard_normal((tasks, 20)) * np.geomspace(ratio, 1.0, tasks)[:, None]
        # Among gradients this far apart the shortest singular direction is what is new in the shortest gradient, and
        # those of the others are of no length beside theirs: the mean of the rows of Q, at its length.
        axes, lengths = np.linalg.qr(jacobian.T)
        axes *= np.sign(np.diagonal(lengths))
        wanted = abs(lengths[-1, -1]) * axes.mean(axis=1)
        order = rng.permutation(tasks)
        found = AlignedMTL()(torch.from_numpy(jacobian[order]).to(dtype)).double().numpy()
        near = 10 * ratio ** (-1 / (tasks - 1)) + 1e-5
        assert np.linalg.norm(found - wanted) < near * np.linalg.norm(wanted)


@given(seeds, some.integers(2, 10))
@settings(max_examples=40)
def test_imtlg_makes_equal_progress_along_each_gradient(seed: int, tasks: int) -> None:
    jacobian = dense(seed, tasks, 3 * tasks, decades=3)
    direction = IMTLG()(torch.from_numpy(jacobian)).numpy()
    progress = jacobian @ direction / np.linalg.norm(jacobian, axis=1)
    assert progress == pytest.approx(np.full(tasks, progress.mean()), abs=1e-6 * np.linalg.norm(direction))
    assert progress.mean() > 0


def test_imtlg_equals_the_papers_closed_form_where_that_is_sound() -> None:
    jacobian = np.abs(dense(1, 4, 12))
    units = jacobian / np.linalg.norm(jacobian, axis=1, keepdims=True)
    # alpha_2..T = g_1 U' (D U')^-1 with U the differences of units and D those of gradients, alpha_1 the rest.
    rest = (
        jacobian[0] @ (units[0] - units[1:]).T @ np.linalg.inv((jacobian[0] - jacobian[1:]) @ (units[0] - units[1:]).T)
    )
    alpha = np.array([1 - rest.sum(), *rest])
    assert (alpha > 0).all(), "the paper's and our scaling agree on positive weights only"
    assert IMTLG()(torch.from_numpy(jacobian)).numpy() == pytest.approx(alpha @ jacobian)


def test_imtlg_never_turns_uphill() -> None:
    # Weights sum to less than 0 here, and dividing by that sum, as the paper does, reverses the step for every task.
    units = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3], [0.72, 0.72, 0.1]])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    gramian = units @ units.T
    assert np.linalg.solve(gramian, np.ones(3)).min() < 0
    jacobian = units * np.array([[10.0], [10.0], [0.1]])
    weights = np.linalg.solve(gramian, np.ones(3)) / [10.0, 10.0, 0.1]
    assert weights.sum() < 0
    assert (jacobian @ IMTLG()(torch.from_numpy(jacobian)).numpy() > 0).all()


def test_imtlg_rests_between_opposed_gradients() -> None:
    jacobian = torch.tensor([[1.0, 2.0], [-3.0, -6.0]])
    assert not IMTLG()(jacobian).any()


@given(seeds, some.integers(1, 20))
@settings(max_examples=40)
def test_nash_maximises_the_product_of_gains(seed: int, tasks: int) -> None:
    jacobian = dense(seed, tasks, 2 * tasks, decades=3)
    norms = np.linalg.norm(jacobian, axis=1)
    direction = NashMTL()(torch.from_numpy(jacobian)).numpy()
    # Stationarity of sum log <g_i, d> on a sphere: d is parallel to sum_i g_i / <g_i, d>.
    pull = (jacobian / (jacobian @ direction)[:, None]).sum(axis=0)
    assert pull @ direction > 0
    assert pull / np.linalg.norm(pull) == pytest.approx(direction / np.linalg.norm(direction), abs=1e-6)
    assert np.linalg.norm(direction) == pytest.approx(norms.mean(), rel=1e-6)


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
def test_cagrad_beats_a_general_solver(c: float) -> None:
    for seed in range(8):
        jacobian = dense(seed, 4, 6) - 0.2
        middle = jacobian.mean(axis=0)
        radius = c * np.linalg.norm(middle)
        # The primal with a slack: maximise t subject to t <= <g_i, d> and |d - g_0| <= radius.
        oracle = minimize(
            lambda v: -v[-1],
            np.append(middle, (jacobian @ middle).min()),
            constraints=[
                {"type": "ineq", "fun": lambda v, j=jacobian: j @ v[:-1] - v[-1]},
                {"type": "ineq", "fun": lambda v, m=middle, r=radius: r**2 - ((v[:-1] - m) ** 2).sum()},
            ],
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        direction = (1 + c) * CAGrad(c)(torch.from_numpy(jacobian)).numpy()
        assert np.linalg.norm(direction - middle) <= radius * (1 + 1e-9)
        assert (jacobian @ direction).min() >= -oracle.fun - 1e-6


def test_upgrad_at_the_scales_where_a_ridge_gives_way() -> None:
    # Cosine -0.9, the second gradient ever smaller: a ridge on the Gramian conflicts at -0.7 from a ratio of 0.01 on.
    for ratio in 10.0 ** -np.arange(13):
        for absolute in (1e-20, 1e-3, 1.0, 1e20):
            jacobian = absolute * np.array([[1.0, 0.0], [-0.9 * ratio, np.sqrt(1 - 0.81) * ratio]])
            for dtype in (torch.float32, torch.float64):
                direction = UPGrad()(torch.from_numpy(jacobian).to(dtype)).double().numpy()
                cosines = jacobian @ direction / np.linalg.norm(jacobian, axis=1) / np.linalg.norm(direction)
                assert cosines.min() >= -1e-5, (ratio, absolute, dtype)
