"""Every weighting keeps the contract, and what it claims."""

from __future__ import annotations

import pytest

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
