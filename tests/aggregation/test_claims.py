"""Every aggregator keeps the contract, and what it claims; what it does not claim, it is known not to have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from accord.aggregation import (
    CRMOGM,
    DBMTL,
    FULLER,
    IMTLG,
    MGDA,
    PCD,
    Aggregator,
    AlignedMTL,
    AuxiNash,
    CAGrad,
    ConFIG,
    ConicGrad,
    DualProj,
    ExcessMTL,
    FairGrad,
    GCond,
    GradDrop,
    GradVac,
    Krum,
    Mean,
    MoCo,
    MoDo,
    NashMTL,
    OrthogonalGradient,
    PCGrad,
    Prospect,
    SDMGrad,
    SelectiveFreezing,
    Sum,
    TrimmedMean,
    UPGrad,
)
from accord.registry import registered
from accord.testing import check_aggregator

COMMON = ("unanimous", "within_scale")
CASES: dict[str, tuple[Callable[[], Aggregator], tuple[str, ...]]] = {
    "mean": (Mean, (*COMMON, "permutation_equivariant", "convex", "linear_in_scales")),
    "sum": (Sum, ("permutation_equivariant", "linear_in_scales")),
    "mgda": (MGDA, (*COMMON, "permutation_equivariant", "convex", "non_conflicting", "rests_when_stationary")),
    "pcgrad": (PCGrad, COMMON),
    "grad_vac": (GradVac, ("unanimous",)),
    "cagrad": (CAGrad, (*COMMON, "permutation_equivariant")),
    "imtlg": (IMTLG, (*COMMON, "permutation_equivariant", "loss_scale_invariant")),
    "aligned_mtl": (AlignedMTL, (*COMMON, "permutation_equivariant")),
    "nash_mtl": (
        NashMTL,
        (*COMMON, "permutation_equivariant", "non_conflicting", "rests_when_stationary", "loss_scale_invariant"),
    ),
    "dual_proj": (DualProj, (*COMMON, "permutation_equivariant", "non_conflicting", "rests_when_stationary")),
    "upgrad": (
        UPGrad,
        (*COMMON, "permutation_equivariant", "non_conflicting", "rests_when_stationary", "linear_in_scales"),
    ),
    "grad_drop": (GradDrop, ("unanimous",)),
    "fair_grad": (FairGrad, (*COMMON, "permutation_equivariant", "non_conflicting", "rests_when_stationary")),
    "con_fig": (ConFIG, (*COMMON, "permutation_equivariant", "loss_scale_invariant")),
    "krum": (Krum, (*COMMON, "convex")),
    "trimmed_mean": (TrimmedMean, ("unanimous", "permutation_equivariant")),
    "dbmtl": (DBMTL, (*COMMON, "permutation_equivariant")),
    "excess_mtl": (ExcessMTL, (*COMMON, "permutation_equivariant")),
    "auxi_nash": (
        AuxiNash,
        (*COMMON, "permutation_equivariant", "non_conflicting", "rests_when_stationary", "loss_scale_invariant"),
    ),
    "conic_grad": (ConicGrad, (*COMMON, "permutation_equivariant")),
    "gcond": (GCond, COMMON),
    "mo_co": (MoCo, (*COMMON, "permutation_equivariant")),
    "crmogm": (CRMOGM, (*COMMON, "permutation_equivariant", "convex")),
    "mo_do": (MoDo, (*COMMON, "permutation_equivariant", "convex")),
    "sdmgrad": (SDMGrad, (*COMMON, "permutation_equivariant", "convex")),
    "orthogonal_gradient": (OrthogonalGradient, ("unanimous", "linear_in_scales")),
    "pcd": (PCD, (*COMMON, "loss_scale_invariant")),
    "prospect": (Prospect, (*COMMON, "permutation_equivariant", "linear_in_scales")),
    "fuller": (FULLER, (*COMMON, "permutation_equivariant", "loss_scale_invariant")),
    "selective_freezing": (SelectiveFreezing, (*COMMON, "permutation_equivariant", "linear_in_scales")),
}


def test_every_aggregator_is_here() -> None:
    assert set(CASES) == set(registered("aggregation"))


@pytest.mark.parametrize("name", CASES)
def test_contract_and_claims(name: str) -> None:
    factory, claims = CASES[name]
    check_aggregator(factory, claims, examples=10)


# Not Prospect, whose steps on some of the objectives are its direction on average only.
@pytest.mark.parametrize(
    "name", [name for name, (_, own) in CASES.items() if "unanimous" in own and name != "prospect"]
)
def test_equal_gradients_come_back_while_tasks_come_and_go(name: str) -> None:
    for seed in range(3):
        rng, aggregator = np.random.default_rng(seed), CASES[name][0]()
        gradient = torch.from_numpy(rng.standard_normal(6))
        for _ in range(12):
            active = torch.from_numpy(rng.random(4) < 0.6)
            found = aggregator(gradient.expand(4, -1), active=active)
            assert torch.allclose(found, gradient * active.any(), rtol=1e-8, atol=1e-12)
