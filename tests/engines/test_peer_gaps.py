"""What is known to go wrong in other libraries does not go wrong here: TorchJD 0.18 and LibMTL (head of 2025-05).

Both were run and their faults written down; each has a test, here or where it belongs.

TorchJD
 1. non-conflict lost when one gradient is 100 times smaller, crash on dependent gradients: ``test_promises_hold_*``,
    ``tests/aggregation/test_optimality.py``
 2. gradients of norm below 1e-2 silently give the mean, or nothing: ``test_small_gradients_count_like_large_ones``
 3. MGDA stops early once gradients spread over three decades: ``test_mgda_is_exact_*``
 4. NaN and infinity passed on, or a crash at the first overflow: ``test_one_bad_task_*``, ``test_scaling.py``,
    ``test_backward.py::test_a_non_finite_*``, the contract ``names_what_is_not_finite`` of ``accord.testing``
 5. a zero gradient, T = 1, all zero, absent tasks as zero losses: ``test_degenerate_steps``,
    ``test_absent_is_not_zero``, ``test_backward.py::test_absent_tasks_*``
 6. half-precision Jacobians: ``test_half_precision_*``, ``test_backward.py::test_parameters_of_other_precisions``
 7. normalisation layers under autocast: ``test_autocast_with_norm_layers``
 8. replicas drift apart: ``tests/distributed``
 9. compiled models: ``test_compiled.py``
10. reentrant checkpoints, NumPy in the backward, sparse embeddings, LSTM and attention: ``test_no_fallback_warnings``,
    ``test_dropout_inside_a_checkpoint_*``, ``test_backward.py``: ``test_reentrant_*``, ``test_sparse_gradients``,
    ``test_an_operation_without_vectorised_backward_is_named``
11. frozen or unused parameters, empty batches, another number of tasks: ``test_frozen_and_unused_*``,
    ``test_a_wholly_frozen_trunk_*``, ``test_another_number_of_tasks_*``, ``test_backward.py::test_an_empty_batch_*``
12. tied weights, another forward in between, functional use of a child's weight, batch norm and recurrent layers in a
    Gramian without Jacobian: ``test_forwards_in_between_*``, ``test_functional_use_*``, ``test_zoo.py``
13. state that cannot be loaded, or is not in the state dict: ``test_used_state_loads_into_a_fresh_instance``, the
    contract ``resumes``
14. nested features give a wrong row; a forgotten call doubles gradients: ``test_nested_features``,
    ``test_nothing_piles_up``
15. the cost of solvers: ``benchmarks/balancers.py``; no timings in tests
16. an update whose length does not follow the gradients': ``test_small_gradients_count_like_large_ones``, the contract
    ``is_homogeneous``, the claim ``within_scale``; trunk and heads on different scales: ``test_one_scale_for_*``

LibMTL
 1. methods that always raise, a fixed device: every method steps here on the CPU: ``test_degenerate_steps``
 2. products of losses underflow, divisions by a norm or a loss of zero: ``test_geometric_loss_*``,
    ``test_degenerate_steps``, ``test_losses_of_zero``; warm-up statistics outside the checkpoint:
    ``test_used_weightings_load_into_fresh_ones``
 3. unused or frozen parameters: ``test_frozen_and_unused_*``; heads scaled by the trunk's weights:
    ``test_backward.py::test_heads_receive_the_mean_whatever_the_direction``
 4. gradients copied to the CPU task by task: engines leave them where they are; ``benchmarks/engines.py``
 5. random orders from a module's generator: ``test_random_methods_leave_*``
 6. scaler, clipping, accumulation, resuming, missing labels: ``test_scaling.py``, ``test_backward.py``,
    ``test_missing_labels_per_sample``; selection on the test part: ``tests/training``
 7. two methods that give the same numbers (CAGrad and MoCo): ``test_no_two_methods_are_the_same``
"""

import random
import warnings

import numpy as np
import pytest
import torch
from tests.engines import zoo
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import accord
from accord import aggregation, weighting
from accord.errors import ConfigurationError, NonFiniteError, NonFiniteLossWarning

NAMES = (
    *("MGDA", "PCGrad", "GradVac", "GradDrop", "CAGrad", "IMTLG", "NashMTL", "FairGrad", "AlignedMTL", "UPGrad"),
    *("DualProj", "ConFIG", "Krum", "TrimmedMean", "ExcessMTL", "Mean", "Sum"),
)


def dbmtl():
    """DB-MTL on the losses themselves: their logarithms know no scales, which is not what is asked of it here."""
    return aggregation.DBMTL(logarithm=False)


METHODS = [*(getattr(aggregation, name) for name in NAMES), dbmtl]
PROMISING = [aggregation.UPGrad, aggregation.DualProj, aggregation.MGDA, aggregation.NashMTL, aggregation.FairGrad]
WEIGHTINGS = [
    *(weighting.Fixed, weighting.DynamicWeightAverage, weighting.RandomLossWeighting, weighting.GeometricLoss),
    *(weighting.GradNorm, weighting.FAMO, weighting.SmoothTchebycheff),
    *(lambda: weighting.Uncertainty(3), lambda: weighting.UncertaintyRevised(3), lambda: weighting.IMTLL(3)),
]
EXACT = ["loop", "batched", "gramian"]
STATEFUL = [aggregation.GradVac, aggregation.GradDrop, aggregation.PCGrad, aggregation.DBMTL, aggregation.ExcessMTL]


def opposed(size, dtype=torch.float32):
    """Two gradients of cosine -0.9, the second ``size`` times as long."""
    return torch.tensor([[1.0, 0.0], [-0.9 * size, (1 - 0.81) ** 0.5 * size]], dtype=dtype)


def worst_cosine(jacobian, direction):
    rows = jacobian.double() / jacobian.double().norm(dim=1, keepdim=True).clamp_min(1e-300)
    return float((rows @ (direction.double() / direction.double().norm())).min())


def of(parameters):
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


# --- guarantees at any scale ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", PROMISING)
@pytest.mark.parametrize("size", [1.0, 0.1, 1e-2, 1e-4, 1e-6])
def test_promises_hold_however_different_the_lengths(method, size):
    jacobian = opposed(size)
    assert worst_cosine(jacobian, method()(jacobian)) >= -1e-5


@pytest.mark.parametrize("method", PROMISING)
def test_promises_hold_where_gradients_are_dependent(method):
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(12, 4, generator=generator) @ torch.randn(4, 6, generator=generator)
    jacobian = torch.cat([jacobian + 3 * jacobian[:1], jacobian[:2] + 3 * jacobian[:1]])  # duplicates too
    direction = method()(jacobian)
    assert direction.isfinite().all()
    assert not direction.any() or worst_cosine(jacobian, direction) >= -1e-5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e-3, 1e-12])
def test_small_gradients_count_like_large_ones(method, size):
    """Through ``accord.backward``, so that losses, which some methods are shown, shrink along."""
    case = zoo.build("mlp")
    accord.backward(case.losses, case.shared, method(), retain_graph=True)
    wanted = of(case.shared)
    case.module.zero_grad()
    accord.backward({name: size * loss for name, loss in case.losses.items()}, case.shared, method())
    torch.testing.assert_close(of(case.shared) / size, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("decades", [0, 3])
@pytest.mark.parametrize("tasks", [4, 16, 40])
def test_mgda_is_exact_over_three_decades(tasks, decades):
    generator = torch.Generator().manual_seed(tasks)
    lengths = 10 ** torch.linspace(0, -decades, tasks, dtype=torch.float64)
    jacobian = torch.randn(tasks, 2 * tasks, generator=generator, dtype=torch.float64) * lengths[:, None]
    shortest = aggregation.MGDA()(jacobian)
    # The shortest vector of a convex hull is the one whose product with no vertex is below its squared length.
    assert float((jacobian @ shortest).min()) >= float(shortest @ shortest) * (1 - 1e-6)


@pytest.mark.parametrize("method", [aggregation.UPGrad, aggregation.PCGrad, aggregation.NashMTL, aggregation.ConFIG])
def test_one_scale_for_trunk_and_heads(method):
    """Where tasks agree, the trunk moves as under plain averaging, and so do the heads."""
    case = zoo.build("same_loss_twice")
    loss = case.losses["a"]
    torch.autograd.backward(loss, retain_graph=True)
    wanted = of(case.shared)
    case.module.zero_grad()
    accord.backward([loss, loss, loss], case.shared, method())
    torch.testing.assert_close(of(case.shared), wanted)


# --- tasks that are ill, absent or have nothing to say ---------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_one_bad_task_neither_spreads_nor_crashes(method):
    case = zoo.build("mlp")
    accord.backward({**case.losses, "t1": None}, case.shared, method(), retain_graph=True)
    wanted = of(case.shared)
    for bad in (float("nan"), float("inf")):
        case.module.zero_grad()
        with pytest.warns(NonFiniteLossWarning, match="'t1'"):
            losses = {**case.losses, "t1": case.losses["t1"] * bad}
            accord.backward(losses, case.shared, method(), retain_graph=True)
        torch.testing.assert_close(of(case.shared), wanted)
    with pytest.raises(NonFiniteError, match=r"task\(s\) \[1\]"):
        method()(torch.tensor([[1.0, 2.0], [float("nan"), 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize("make", [*METHODS, *WEIGHTINGS])
def test_degenerate_steps(make):
    """One task; a gradient of zero beside others; all of them zero; two tasks that are one; more tasks than numbers."""
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    a, b = 1 + weight[0] ** 2, 2 + weight[1] ** 2
    flat = 3 + (weight * 0).sum()
    for losses in ([a, b, flat], [flat, flat, flat], [a, a, b], [a]):
        if len(losses) == 1 and len(list(make().parameters())):
            continue  # learned for three tasks
        weight.grad = None
        step = accord.backward(losses, [weight], make(), retain_graph=True)
        assert step.active.all()
        assert weight.grad.isfinite().all()
        if len(losses) == 1:
            assert weight.grad[1] == 0
            assert weight.grad[0] == pytest.approx(2.0) or make in WEIGHTINGS  # T = 1 is plain descent


@pytest.mark.parametrize("method", METHODS)
def test_absent_is_not_zero(method):
    """A task without labels in this batch is left out, where a loss of zero in its place would stop MGDA's step."""
    case = zoo.build("mlp")
    step = accord.backward({**case.losses, "t1": None}, case.shared, method(), retain_graph=True)
    found = of(case.shared)
    assert found.abs().max() > 0
    assert step.skipped == {"t1": "absent"}
    case.module.zero_grad()
    accord.backward([case.losses["t0"], case.losses["t2"]], case.shared, method())
    # The same direction as that of the two alone; sums and means over all T apart, in size too.
    cosine = functional.cosine_similarity(found, of(case.shared), dim=0)
    assert cosine > 0.999 or method is aggregation.GradDrop  # which draws for each coordinate


def test_missing_labels_per_sample():
    """Two of three tasks lack labels in some rows, and one in all: every row that has a label counts, once."""
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5, out=1)
    x, labels = torch.randn(6, 4), torch.randn(6, 3)
    labels[::2, 1] = torch.nan
    labels[:, 2] = torch.nan
    features = trunk(x)
    losses = {}
    for i, (name, head) in enumerate(heads.items()):
        there = labels[:, i].isfinite()
        losses[name] = functional.mse_loss(head(features[there])[:, 0], labels[there, i]) if there.any() else None
    step = accord.backward(losses, trunk.parameters(), aggregation.UPGrad())
    assert step.active.tolist() == [True, True, False]
    assert all(p.grad.isfinite().all() for p in trunk.parameters())
    assert heads["t2"].weight.grad is None


def test_geometric_loss_of_forty_small_losses():
    weight = nn.Parameter(torch.rand(40))
    losses = 1e-3 * (1 + weight)
    accord.backward(losses, [weight], weighting.GeometricLoss())
    mean = losses.double().log().mean().exp()
    torch.testing.assert_close(weight.grad, (mean / (40 * losses.double()) * 1e-3).float())


@pytest.mark.parametrize("make", [*METHODS, *WEIGHTINGS])
def test_losses_of_zero(make):
    """A loss that has reached zero, gradient and all, leaves the others finite."""
    weight = nn.Parameter(torch.tensor([1.0, 0.0, 2.0]))
    for _ in range(3):
        weight.grad = None
        balancer = make()
        accord.backward([weight[0] ** 2, weight[1] ** 2, weight[2] ** 2], [weight], balancer)
        assert weight.grad.isfinite().all()
        assert weight.grad[1] == 0


@pytest.mark.parametrize("make", STATEFUL)
def test_another_number_of_tasks_is_an_error_or_no_matter(make):
    """State of one number of tasks is never silently dropped."""
    balancer, weight = make(), nn.Parameter(torch.tensor([1.0, 2.0]))
    accord.backward([weight[0] ** 2, weight[1] ** 2, weight.prod()], [weight], balancer, retain_graph=True)
    if not any(3 in buffer.shape for buffer in balancer.buffers()):
        accord.backward([weight[0] ** 2, weight[1] ** 2], [weight], balancer)
        return
    with pytest.raises(ConfigurationError, match=r"3.* given .*2.*always show it the same tasks"):
        accord.backward([weight[0] ** 2, weight[1] ** 2], [weight], balancer)


# --- precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_jacobians(method, dtype):
    generator = torch.Generator().manual_seed(1)
    jacobian = torch.randn(4, 9, generator=generator).to(dtype)
    direction = method()(jacobian)
    assert direction.dtype == dtype
    wanted = method()(jacobian.double())
    assert float((direction.double() - wanted).norm()) <= 0.02 * float(jacobian.double().norm(dim=1).max())


@pytest.mark.parametrize("method", [aggregation.UPGrad, aggregation.NashMTL, aggregation.CAGrad, aggregation.ConFIG])
@pytest.mark.parametrize("engine", ["loop", "batched"])
def test_half_precision_models_may_mix_precisions(method, engine):
    case = zoo.build("mixed_precision_parameters")
    accord.backward(case.losses, case.shared, method(), engine=engine)
    assert all(p.grad.dtype == p.dtype and p.grad.isfinite().all() for p in case.shared)


def test_no_two_methods_are_the_same():
    """On conflicting gradients of unlike lengths, seen for three steps, since some methods begin as the mean does."""
    conflicting = [[3.0, 0.0, 1.0, 0.2], [-2.0, 1.0, 0.2, 0.0], [0.1, -0.5, 1.0, -0.3]]
    steps = torch.tensor(conflicting, dtype=torch.float64) * torch.tensor([0.7, 1.3, 1.0])[:, None, None]
    losses = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    names = (
        "Mean",
        "MGDA",
        "PCGrad",
        "GradVac",
        "CAGrad",
        "IMTLG",
        "NashMTL",
        "AlignedMTL",
        "UPGrad",
    )  # FairGrad at 1 is Nash-MTL
    found = {}
    for name in (*names, "MoCo", "DualProj", "ConFIG", "ConicGrad"):
        method = getattr(aggregation, name)()
        for step in steps:
            direction = method(step, losses=losses)
        found[name] = direction
    for name, direction in found.items():
        same = [other for other in found if other != name and torch.allclose(found[other], direction, rtol=1e-3)]
        assert not same, (name, same)


def normed(kind):
    layers = {
        "batch": (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        "group": (nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
        "layer": (nn.Conv2d(3, 4, 3), nn.LayerNorm(4)),
    }[kind]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["batch", "group", "layer"])
def test_autocast_with_norm_layers(kind, dtype, engine):
    trunk, heads, x = normed(kind), zoo.Heads(5), torch.randn(6, 3, 6, 6)
    with torch.autocast("cpu", dtype=dtype):
        losses = heads.losses(trunk(x))
        accord.backward(losses, trunk.parameters(), aggregation.UPGrad(), engine="loop", retain_graph=True)
        wanted = of(trunk.parameters())
        trunk.zero_grad()
        step = accord.backward(losses, trunk.parameters(), aggregation.UPGrad(), engine=engine)
    found = of(trunk.parameters())
    assert step.active.all()
    assert float((found - wanted).norm()) <= 0.05 * float(wanted.norm())


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*METHODS, *WEIGHTINGS])
def test_frozen_and_unused_parameters(make):
    for name in ("frozen_parts", "unused_parameters"):
        case = zoo.build(name)
        accord.backward(case.losses, list(case.module[0].parameters()), make())
        reached = [p for p in case.shared if p.grad is not None]
        assert 0 < len(reached) < len(case.shared)
        assert all(p.grad.isfinite().all() for p in reached)


def test_a_wholly_frozen_trunk_is_an_error_that_says_so():
    case = zoo.build("mlp")
    for p in case.shared:
        p.requires_grad_(False)
    with pytest.raises(ConfigurationError, match="all 4 parameters of shared are frozen"):
        accord.backward(case.losses, case.shared, aggregation.UPGrad())


@pytest.mark.parametrize("engine", EXACT)
def test_nested_features(engine):
    """Heads at two depths, where naming both features to others counts the path through the deeper one twice."""
    case = zoo.build("branches_at_several_depths")
    wanted = []
    for loss in case.losses.values():
        rows = torch.autograd.grad(loss, case.shared, retain_graph=True, allow_unused=True)
        pairs = zip(rows, case.shared, strict=True)
        wanted.append(torch.cat([(torch.zeros_like(p) if row is None else row).flatten() for row, p in pairs]))
    rows = torch.stack(wanted).double()
    step = accord.backward(case.losses, case.shared, aggregation.UPGrad(), engine=engine)
    torch.testing.assert_close(step.gramian, rows @ rows.T, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of(case.shared), (step.weights @ rows).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", EXACT)
def test_forwards_in_between_do_no_harm(engine):
    """Evaluation, a second batch or a look at the Gramian between forward and backward."""
    trunk, heads, x = zoo.mlp_trunk(), zoo.Heads(5), torch.randn(6, 4)
    losses = heads.losses(trunk(x))
    rows = accord.jacobian(losses, trunk.parameters())
    trunk(torch.randn(3, 4))
    with torch.no_grad():
        trunk(x)
    accord.gramian(heads.losses(trunk(torch.randn(2, 4))), trunk.parameters(), engine=engine)
    accord.backward(losses, trunk.parameters(), aggregation.Mean(), engine=engine)
    torch.testing.assert_close(of(trunk.parameters()), rows.mean(0))


@pytest.mark.parametrize("engine", EXACT)
def test_functional_use_of_a_childs_weight(engine):
    """A weight read outside its module, tied to another, and used by a head."""
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    x = torch.randn(6, 5)
    features = functional.linear(torch.tanh(second(first(x))), first.weight)
    losses = [features.pow(2).mean(), functional.linear(features, first.weight).mean(), features.abs().sum()]
    shared = [first.weight, first.bias, second.bias]
    rows = torch.stack(
        [torch.cat([g.flatten() for g in torch.autograd.grad(loss, shared, retain_graph=True)]) for loss in losses]
    )
    step = accord.backward(losses, shared, aggregation.UPGrad(), engine=engine)
    torch.testing.assert_close(step.gramian, rows.double() @ rows.double().T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["auto", *EXACT])
@pytest.mark.parametrize("name", ["lstm_bidirectional", "gru", "transformer", "attention_with_mask", "dropout"])
def test_no_fallback_warnings(name, engine):
    """Recurrent layers and attention, in training mode: no warning of a slow way, and one mask for all tasks."""
    case = zoo.build(name)
    rows = accord.jacobian(case.losses, case.shared, engine="loop").double()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = accord.backward(case.losses, case.shared, aggregation.UPGrad(), engine=engine)
    torch.testing.assert_close(step.gramian, rows @ rows.T, rtol=1e-4, atol=1e-6)


def test_dropout_inside_a_checkpoint_is_drawn_once_or_refused():
    """Recomputation draws the masks of the forward again, which a vectorised backward cannot: it says so."""
    trunk, heads, x = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 5)), zoo.Heads(5), torch.randn(6, 4)
    torch.manual_seed(5)
    wanted = accord.gramian(heads.losses(trunk(x)), trunk.parameters())
    for engine in ("loop", "gramian"):
        torch.manual_seed(5)
        losses = heads.losses(checkpoint(trunk, x, use_reentrant=False))
        found = accord.backward(losses, trunk.parameters(), aggregation.UPGrad(), engine=engine).gramian
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    losses = heads.losses(checkpoint(trunk, x, use_reentrant=False))
    with pytest.raises(ConfigurationError, match=r'no vectorised backward.*engine="loop"'):
        accord.backward(losses, trunk.parameters(), aggregation.UPGrad(), engine="batched")


@pytest.mark.parametrize("engine", EXACT)
def test_retained_gradients_inside_the_model(engine):
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
    features = trunk(torch.randn(6, 4))
    features.retain_grad()
    accord.backward(heads.losses(features), trunk.parameters(), aggregation.UPGrad(), engine=engine)
    assert all(p.grad.isfinite().all() for p in trunk.parameters())


# --- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_used_state_loads_into_a_fresh_instance(method):
    case = zoo.build("mlp")
    used, fresh = method(), method()
    for _ in range(2):
        accord.backward(case.losses, case.shared, used, retain_graph=True)
    fresh.load_state_dict(used.state_dict())
    found = []
    for balancer in (used, fresh):
        case.module.zero_grad()
        accord.backward(case.losses, case.shared, balancer, retain_graph=True)
        found.append(of(case.shared))
    assert torch.equal(*found)


@pytest.mark.parametrize("make", WEIGHTINGS)
def test_used_weightings_load_into_fresh_ones(make):
    case = zoo.build("mlp")
    used, fresh = make(), make()
    for factor in (1.0, 0.5, 0.7):
        accord.backward([loss * factor for loss in case.losses.values()], case.shared, used, retain_graph=True)
    fresh.load_state_dict(used.state_dict())
    weights = [accord.backward(case.losses, case.shared, w, retain_graph=True).weights for w in (used, fresh)]
    assert torch.equal(*weights)


@pytest.mark.parametrize("make", [aggregation.PCGrad, aggregation.GradDrop, weighting.RandomLossWeighting])
def test_random_methods_leave_the_global_generators_alone(make):
    case = zoo.build("mlp")
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    accord.backward(case.losses, case.shared, make())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


def test_nothing_piles_up():
    """Gradients live in ``.grad`` alone, so zero_grad() forgets them; nothing else on a parameter grows."""
    case = zoo.build("mlp")
    accord.backward(case.losses, case.shared, aggregation.UPGrad(), retain_graph=True)
    wanted, attributes = of(case.shared), [set(vars(p)) for p in case.shared]
    for _ in range(2):
        case.module.zero_grad()
        accord.gramian(case.losses, case.shared)
        accord.jacobian(case.losses, case.shared)
        accord.backward(case.losses, case.shared, aggregation.UPGrad(), retain_graph=True)
    assert torch.equal(of(case.shared), wanted)
    assert [set(vars(p)) for p in case.shared] == attributes
