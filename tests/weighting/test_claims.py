"""Every weighting keeps the contract, and what it claims."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import tensor

from accord.registry import registered
from accord.testing import check_weighting
from accord.testing.weighting_contract import Factory
from accord.weighting import (
    FAMO,
    FORUM,
    IMTLL,
    MAMLMTL,
    MOML,
    AutoLambda,
    CoBa,
    DirectWeighting,
    DynamicWeightAverage,
    EvidenceWeighting,
    Fixed,
    FocalTask,
    GeometricLoss,
    GradientBlend,
    GradNorm,
    Hedge,
    RandomLossWeighting,
    Scheduled,
    SmoothTchebycheff,
    SpectralRisk,
    Uncertainty,
    UncertaintyRevised,
    Weighting,
    WeightNet,
)

CASES: dict[str, tuple[Factory, tuple[str, ...]]] = {
    "fixed": (
        lambda _: Fixed(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "uncertainty": (lambda tasks: Uncertainty(tasks, "regression"), ("averages_at_first", "permutation_equivariant")),
    "imtll": (IMTLL, ("averages_at_first", "permutation_equivariant")),
    "geometric_loss": (lambda _: GeometricLoss(), ("permutation_equivariant", "loss_scale_invariant")),
    "dynamic_weight_average": (
        lambda _: DynamicWeightAverage(window=1),
        (
            "averages_at_first",
            "on_simplex",
            "permutation_equivariant",
            "loss_scale_invariant",
            "names_what_is_not_finite",
        ),
    ),
    "random_loss_weighting": (lambda _: RandomLossWeighting(), ("on_simplex", "loss_scale_invariant")),
    "grad_norm": (
        lambda _: GradNorm(),
        (
            "averages_at_first",
            "on_simplex",
            "permutation_equivariant",
            "loss_scale_invariant",
            "names_what_is_not_finite",
        ),
    ),
    "famo": (
        lambda _: FAMO(),
        ("on_simplex", "permutation_equivariant", "loss_scale_invariant", "names_what_is_not_finite"),
    ),
    "smooth_tchebycheff": (lambda _: SmoothTchebycheff(), ("on_simplex", "permutation_equivariant")),
    "uncertainty_revised": (UncertaintyRevised, ("averages_at_first", "permutation_equivariant")),
    "spectral_risk": (
        lambda _: SpectralRisk(),
        ("on_simplex", "permutation_equivariant", "loss_scale_invariant", "names_what_is_not_finite"),
    ),
    "hedge": (
        lambda _: Hedge(beta=0.5),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "names_what_is_not_finite"),
    ),
    "gradient_blend": (
        lambda _: GradientBlend(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "focal_task": (
        lambda _: FocalTask(),
        ("on_simplex", "permutation_equivariant", "names_what_is_not_finite"),
    ),
    "co_ba": (
        lambda _: CoBa(warmup=2),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "auto_lambda": (
        lambda _: AutoLambda(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "moml": (
        lambda _: MOML(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "forum": (
        lambda _: FORUM(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "weight_net": (
        lambda _: WeightNet(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "names_what_is_not_finite"),
    ),
    "mamlmtl": (
        lambda _: MAMLMTL(),
        ("averages_at_first", "on_simplex", "permutation_equivariant", "loss_scale_invariant"),
    ),
    "evidence_weighting": (lambda tasks: EvidenceWeighting([10] * (tasks - 1)), ()),
    "scheduled": (
        lambda tasks: Scheduled([(0, [1.0] * tasks), (3, [1.0, *[0.5] * (tasks - 1)])]),
        ("averages_at_first", "on_simplex", "loss_scale_invariant"),
    ),
}


def test_every_weighting_is_here() -> None:
    assert set(CASES) == set(registered("weighting"))


@pytest.mark.parametrize("name", CASES)
def test_contract_and_claims(name: str) -> None:
    factory, claims = CASES[name]
    check_weighting(factory, claims, examples=12)


# What the papers, or their authors' code where a paper is silent, use for all experiments or name as usual.
SOURCES: dict[str, dict[str, object]] = {
    "auto_lambda": {"lr": 1e-4, "start": 0.1, "hypergradient": "differences"},
    "co_ba": {"warmup": 100, "history": 200, "tau": 5.0},
    "dynamic_weight_average": {"temperature": 2.0},
    "evidence_weighting": {"emphasis": None, "deviation": 1e-4},
    "famo": {"lr": 0.025, "decay": 0.01, "learn_from": "training"},
    "focal_task": {"gamma": 2.0},
    "forum": {"phi": 0.1, "lr": 1e-3, "inner": 5},
    "grad_norm": {"alpha": 1.5, "lr": 0.025},
    "gradient_blend": {"offline": False},
    "hedge": {"beta": 0.99, "floor": 0.2},
    "mamlmtl": {"second_order": False},
    "moml": {"lr": 1e-3},
    "random_loss_weighting": {"distribution": "normal"},
    "smooth_tchebycheff": {"mu": 1.0},
    "spectral_risk": {"spectrum": "cvar", "shift": 0.0, "penalty": "chi2"},
    "weight_net": {"hidden": 100, "lr": 1e-2, "exact": False},
}


@pytest.mark.parametrize("name", SOURCES)
def test_defaults_are_those_of_the_sources(name: str) -> None:
    parameters = inspect.signature(registered("weighting")[name]).parameters
    assert {option: parameters[option].default for option in SOURCES[name]} == SOURCES[name]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (lambda: FAMO(bounds=[0.5, 0.0]), FAMO),
        (lambda: Fixed([1, 3]), Fixed),
        (lambda: GeometricLoss([3, 1]), GeometricLoss),
        (lambda: SmoothTchebycheff(preference=[1, 3]), SmoothTchebycheff),
        (lambda: SmoothTchebycheff(ideal=[0.5, 0.0]), SmoothTchebycheff),
    ],
)
def test_what_it_was_given_by_task_is_part_of_its_state(
    given: Callable[[], Weighting], plain: Callable[[], Weighting]
) -> None:
    losses, other = tensor([1.0, 2.0]), plain()
    other.load_state_dict(given().state_dict())
    assert other(losses).tolist() == given()(losses).tolist() != plain()(losses).tolist()


# Those of the others are slopes, which have the dtype of what they are slopes in.
@pytest.mark.parametrize("name", [name for name in CASES if issubclass(registered("weighting")[name], DirectWeighting)])
def test_weights_that_are_numbers_are_at_least_single_precision(name: str) -> None:
    weighting, gramian = CASES[name][0](3), torch.eye(3)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        weights = weighting(torch.ones(3, dtype=dtype), gramian=gramian)
        assert weights.dtype == torch.promote_types(dtype, torch.float32)
