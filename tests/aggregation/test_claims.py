"""Every aggregator keeps the contract, and what it claims; what it does not claim, it is known not to have."""

from __future__ import annotations

import inspect
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
    GramianAggregator,
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
from accord.errors import NonFiniteError
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


# What the papers, or their authors' code where a paper is silent, use for all experiments or name as usual.
SOURCES: dict[str, dict[str, object]] = {
    "aligned_mtl": {"scale": "min"},
    "auxi_nash": {"rate": 0.005, "momentum": 0.9, "floor": 1e-4},
    "cagrad": {"c": 0.5},
    "crmogm": {"aggregator": "mgda", "alpha": 0.9},
    "dbmtl": {"beta": 0.9, "sigma": 0.0, "logarithm": True},
    "excess_mtl": {"eta": 0.01},
    "fair_grad": {"alpha": 1.0},
    "gcond": {
        "smooth": True,
        "thresholds": (-0.8, -0.5, 0.0),
        "window": 3,
        "stability": 0.8,
        "memory": 0.95,
        "power": 2.0,
    },
    "grad_vac": {"beta": 0.01},
    "krum": {"selected": 1},
    "mgda": {"normalisation": "none"},
    "mo_co": {"beta": 0.5, "beta_decay": 0.5, "gamma": 0.1, "gamma_decay": 0.5, "rho": 0.0},
    "mo_do": {"gamma": 0.1, "rho": 0.1},
    "orthogonal_gradient": {"eta": 1.0},
    "pcd": {"tau": 0.02, "beta": 0.999},
    "pcgrad": {"orders": "random"},
    "sdmgrad": {"lam": 0.3, "iterations": 20, "step": 1.0, "momentum": 0.5},
}


@pytest.mark.parametrize("name", SOURCES)
def test_defaults_are_those_of_the_sources(name: str) -> None:
    parameters = inspect.signature(registered("aggregation")[name]).parameters
    assert {option: parameters[option].default for option in SOURCES[name]} == SOURCES[name]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        *((lambda method=method: method(preference=[1, 3]), method) for method in (AlignedMTL, CAGrad, ConFIG)),
        *((lambda method=method: method(preference=[1, 3]), method) for method in (NashMTL, UPGrad, DualProj)),
        (lambda: ConicGrad(0.99, preference=[1, 3]), lambda: ConicGrad(0.99)),
        (lambda: SDMGrad(preference=[1, 3]), SDMGrad),
        (lambda: AuxiNash(powers=[1, 3]), AuxiNash),
        (lambda: GradDrop(leak=[0.4, 0.7]), GradDrop),
    ],
)
def test_what_it_was_given_by_task_is_part_of_its_state(
    given: Callable[[], Aggregator], plain: Callable[[], Aggregator]
) -> None:
    rows, other = torch.tensor([[1.0, 0.2], [-0.5, 2.0]]), plain()
    other.load_state_dict(given().state_dict())
    assert other(rows).tolist() == given()(rows).tolist() != plain()(rows).tolist()


@pytest.mark.parametrize("name", [name for name, (make, _) in CASES.items() if isinstance(make(), GramianAggregator)])
def test_weights_of_a_half_precision_gramian_are_single_precision_ones(name: str) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        aggregator = CASES[name][0]()
        assert isinstance(aggregator, GramianAggregator)
        assert aggregator.weights(torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=dtype))).dtype == torch.float32


@pytest.mark.parametrize("make", [DBMTL, Prospect, lambda: MGDA("loss"), lambda: MGDA("loss+")])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_losses_that_are_not_finite_are_named_and_leave_no_trace(make: Callable[[], Aggregator], bad: float) -> None:
    rows, losses = torch.tensor([[1.0, 0.0], [0.5, 2.0], [0.0, 1.0]]), torch.tensor([1.0, bad, 2.0])
    aggregator, fresh = make(), make()
    with pytest.raises(NonFiniteError, match=r"losses of task\(s\) \[1\] are not finite"):
        aggregator(rows, losses=losses)
    active = torch.tensor([True, False, True])
    assert torch.equal(aggregator(rows, losses=losses, active=active), fresh(rows, losses=losses, active=active))
