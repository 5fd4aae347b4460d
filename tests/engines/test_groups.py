"""Shared parameters in groups: each balanced by itself, against the aggregator on slices of the Jacobian."""

import math

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.aggregation import DBMTL, MGDA, GradDrop, GradVac, Mean, PerGroup, Sum, UPGrad
from accord.engines import Batched, grouped
from accord.errors import ConfigurationError, NonFiniteLossWarning

ENGINES = ["loop", pytest.param(Batched(chunk=2), id="batched-by-2"), "gramian"]
CASES = [
    *("mlp", "residual_cnn", "transformer", "language_model", "gru", "embedding_bag", "weight_tying"),
    *("branches_at_several_depths", "own_experts_listed_as_shared", "frozen_parts", "unused_parameters"),
    *("scalars_and_outer_products", "mixed_precision_parameters", "vector_of_losses"),
]


def in_groups(parameters, count=3):
    """Neighbours and strangers alike: every third parameter."""
    return {f"group.{i}": parameters[i::count] for i in range(count)}


def by_slices(case, groups, aggregators):
    """The aggregators on slices of the Jacobian; ``None`` for frozen parameters and those that no loss reaches."""
    wanted = {}
    for name, parameters in groups.items():
        trainable = [p for p in parameters if p.requires_grad]
        if not trainable:
            continue
        flat = aggregators[name](accord.jacobian(case.losses, trainable))
        parts = flat.split([p.numel() for p in trainable])
        wanted |= {id(p): part.view_as(p) for p, part in zip(trainable, parts, strict=True)}
    return wanted


def check(parameters, wanted, tolerance=2e-5):
    scale = max(float(part.abs().max()) for part in wanted.values())
    for p in parameters:
        found = torch.zeros_like(p) if p.grad is None else p.grad
        expected = wanted.get(id(p), torch.zeros_like(p))
        bound = 2e-2 if p.dtype == torch.bfloat16 else tolerance
        assert float((found.float() - expected.float()).detach().abs().max()) <= bound * scale


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_each_group_is_the_aggregator_on_its_slice(name, engine):
    case = zoo.build(name)
    groups = in_groups(case.shared)
    wanted = by_slices(case, groups, dict.fromkeys(groups, balancers.Unit()))
    step = accord.backward(case.losses, groups, PerGroup(balancers.Unit(), groups), engine=engine, retain_graph=True)
    check(case.shared, wanted)
    assert step.weights is None
    for group, parameters in groups.items():
        trainable = [p for p in parameters if p.requires_grad]
        if trainable:
            rows = accord.jacobian(case.losses, trainable).double()
            torch.testing.assert_close(step.groups[group].gramian, rows @ rows.T, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(step.gramian, sum(part.gramian for part in step.groups.values()))


@pytest.mark.parametrize("budget", [grouped._BUDGET, 0])
def test_grouped_engine(budget, monkeypatch):
    monkeypatch.setattr(grouped, "_BUDGET", budget)
    case = zoo.build("one_domain_per_task")
    groups = in_groups(case.shared)
    wanted = by_slices(case, groups, {name: UPGrad() for name in groups})
    accord.backward(case.losses, groups, PerGroup(UPGrad(), groups), engine="grouped")
    check(case.shared, wanted)


@pytest.mark.parametrize("engine", ["loop", "batched"])
@pytest.mark.parametrize("others", [balancers.Median(), balancers.Unit()])
def test_groups_may_differ_in_method_and_some_may_need_the_jacobian(engine, others):
    case = zoo.build("unused_parameters")
    groups = in_groups(case.shared)
    chosen = {"group.0": balancers.Median(), "group.1": UPGrad(), "group.2": others}
    wanted = by_slices(case, groups, chosen)
    step = accord.backward(case.losses, groups, PerGroup(chosen), engine=engine)
    check(case.shared, wanted)
    assert step.groups["group.0"].weights is None
    assert step.groups["group.1"].weights.shape == (3,)
    assert all(p.grad is None for p in case.shared[-2:])  # reached by no loss


def test_heads_receive_what_they_always_do():
    case = zoo.build("head_shared_by_two_tasks")
    for single in (Mean(), Sum()):
        case.module.zero_grad()
        accord.backward(case.losses, case.shared, single, retain_graph=True)
        wanted = [p.grad.clone() for p in case.module.parameters()]
        case.module.zero_grad()
        groups = in_groups(case.shared)
        accord.backward(case.losses, groups, PerGroup(single, groups), retain_graph=True)
        for p, expected in zip(case.module.parameters(), wanted, strict=True):
            torch.testing.assert_close(p.grad, expected)


def test_by_hand_conflicts_that_cancel_over_the_trunk_are_seen_in_each_layer():
    a, b = nn.Parameter(torch.tensor([1.0, 0.0])), nn.Parameter(torch.tensor([1.0, 0.0]))
    losses = [a[0] + b[0] + b[1], 2 * b[0] - a[0]]  # gradients (1, 0 | 1, 1) and (-1, 0 | 2, 0): cosine over all is > 0
    step = accord.backward(losses, {"a": [a], "b": [b]}, PerGroup(MGDA(), ["a", "b"]), retain_graph=True)
    assert step.gramian.tolist() == [[3.0, 1.0], [1.0, 5.0]]
    assert step.groups["a"].gramian.tolist() == [[1.0, -1.0], [-1.0, 1.0]]
    assert step.groups["a"].weights.tolist() == pytest.approx([0.5, 0.5])
    assert step.groups["b"].weights.tolist() == pytest.approx([1.0, 0.0])  # the shorter of two that agree
    assert a.grad.tolist() == pytest.approx([0.0, 0.0])
    assert b.grad.tolist() == pytest.approx([1.0, 1.0])


def test_grad_vac_keeps_its_targets_per_layer_as_its_paper_does():
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
    layers = {name: list(layer.parameters()) for name, layer in trunk.named_children()}
    balancer = PerGroup(GradVac(beta=0.5), layers)
    for _ in range(3):
        losses = heads.losses(trunk(torch.randn(6, 4)))
        rows = {n: accord.jacobian(losses, layer) for n, layer in layers.items() if layer}
        expected = {n: GradVac(beta=0.5) for n in rows}
        for name, alone in expected.items():
            alone.load_state_dict(balancer[name].state_dict())
        trunk.zero_grad()
        accord.backward(losses, layers, balancer)
        for name, alone in expected.items():
            found = torch.cat([p.grad.flatten() for p in layers[name]])
            torch.testing.assert_close(found, alone(rows[name]), rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(balancer[name].targets, alone.targets, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(balancer["0"].targets, balancer["2"].targets)
    resumed = PerGroup(GradVac(beta=0.5), layers)
    resumed.load_state_dict(balancer.state_dict())
    assert torch.equal(resumed["2"].targets, balancer["2"].targets)
    assert not balancer["1"].targets.numel()  # an activation has no parameters, and nothing to decide


def test_a_mapping_under_any_other_balancer_only_reports():
    case = zoo.build("mlp")
    groups = dict(case.module[0].named_parameters())  # a tensor alone is a group too
    for balancer in (UPGrad(), balancers.Median(), balancers.ByNorm()):
        case.module.zero_grad()
        plain = accord.backward(case.losses, case.shared, balancer, retain_graph=True)
        wanted = [p.grad.clone() for p in case.module.parameters()]
        case.module.zero_grad()
        step = accord.backward(case.losses, groups, balancer, retain_graph=True)
        for p, expected in zip(case.module.parameters(), wanted, strict=True):
            torch.testing.assert_close(p.grad, expected)
        assert plain.groups == {}
        assert list(step.groups) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert all(part.weights is None for part in step.groups.values())
        torch.testing.assert_close(step.gramian, plain.gramian)
    by_layer = accord.gramian(case.losses, groups)
    for name, part in step.groups.items():
        torch.testing.assert_close(by_layer[name], part.gramian)


@pytest.mark.parametrize("engine", ENGINES)
def test_tasks_without_a_finite_gradient_are_left_out_of_every_group(engine):
    case = zoo.build("mlp")
    groups = dict(case.module[0].named_parameters())
    accord.backward({**case.losses, "t1": None}, groups, PerGroup(UPGrad(), groups), engine=engine, retain_graph=True)
    wanted = [p.grad.clone() for p in case.shared]
    case.module.zero_grad()
    last = case.module[0][2].weight  # infinite here, unheard of in the other groups
    losses = {**case.losses, "t1": case.losses["t1"] + (last[0, 0] * 0).sqrt()}
    with pytest.warns(NonFiniteLossWarning, match="'t1'"):
        step = accord.backward(losses, groups, PerGroup(UPGrad(), groups), engine=engine)
    for p, expected in zip(case.shared, wanted, strict=True):
        torch.testing.assert_close(p.grad, expected)
    for part in step.groups.values():
        assert not part.gramian[1].any()
        assert part.weights[1] == 0
    with pytest.warns(NonFiniteLossWarning, match="'1'"):
        found = accord.gramian([groups["0.bias"].sum(), groups["0.bias"].sum() * math.nan], groups, engine=engine)
    assert found["0.bias"].tolist() == [[5.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("balancer", [UPGrad(), balancers.Median()])
def test_groups_under_a_scaler(balancer):
    case = zoo.build("mlp")
    groups = in_groups(case.shared)
    chosen = PerGroup({"group.0": Mean(), "group.1": balancer, "group.2": balancer})
    accord.backward(case.losses, groups, chosen, retain_graph=True)
    wanted = [p.grad.clone() for p in case.module.parameters()]
    case.module.zero_grad()
    accord.backward(case.losses, groups, chosen, scaler=torch.amp.GradScaler("cpu", init_scale=256.0))
    for p, expected in zip(case.module.parameters(), wanted, strict=True):
        torch.testing.assert_close(p.grad, 256 * expected)


def test_representation_has_no_groups():
    case = zoo.build("mlp")
    groups = in_groups(case.shared)
    with pytest.raises(ConfigurationError, match=r'no Gramian of each group; use engine="auto", "loop"'):
        accord.backward(case.losses, groups, PerGroup(UPGrad(), groups), engine="representation")
    assert all(p.grad is None for p in case.module.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerGroup(UPGrad()), "has no groups: pass their names"),
        (lambda: PerGroup({}), "has no groups"),
        (lambda: PerGroup({"a": UPGrad()}, ["a"]), "leave groups out"),
        (lambda: PerGroup({"a": balancers.Equal()}), r"'a' was given Equal\(\), which is no aggregator"),
        (lambda: PerGroup(UPGrad, ["a"]), "'a' was given <class"),
        (lambda: PerGroup(DBMTL(), ["a"]), "DBMTL decides what the heads descend"),
        (lambda: PerGroup({"a": Mean(), "b": Sum()}), "use methods of one kind"),
        (lambda: PerGroup(Mean(), ["a.b", "a/b"]), r"may not differ in '\.' and '/' alone"),
        (lambda: PerGroup(Mean(), ["conv"])["cnov"], "no group 'cnov'. Did you mean 'conv'"),
    ],
)
def test_wrong_groups_of_aggregators(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_groups_of_parameters_and_of_aggregators_must_be_the_same():
    case = zoo.build("mlp")
    first, *rest = case.shared
    for shared, message in (
        (case.shared, "needs to know the groups: pass shared as a mapping"),
        ({"a": [first]}, "shared lacks the group 'b', but PerGroup was made for: a, b"),
        ({"a": [first], "b": rest[:1], "c": rest[1:]}, "shared has the group 'c', but"),
        ({"a": [first], "b": [first]}, r"shared\['b'\]\[0\] .* is the same tensor as shared\['a'\]\[0\]"),
        ({"a": [first * 2], "b": rest}, r"shared\['a'\]\[0\] .* is the result of a computation"),
        ({"a": [], "b": ()}, "shared is empty"),
        ({"a": nn.Linear(1, 1)}, r"shared\['a'\] is a module \(Linear\)"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            accord.backward(case.losses, shared, PerGroup(Mean(), ["a", "b"]))
    with pytest.raises(ConfigurationError, match="at= stands in for all shared parameters"):
        accord.backward(case.losses, {"a": [first]}, Mean(), at=[first])


def test_random_methods_draw_again_on_resuming():
    case = zoo.build("mlp")
    groups = in_groups(case.shared)
    balancer, resumed = (PerGroup(GradDrop(), groups) for _ in range(2))
    accord.backward(case.losses, groups, balancer, retain_graph=True)
    resumed.load_state_dict(balancer.state_dict())
    found = []
    for each in (balancer, resumed):
        case.module.zero_grad()
        accord.backward(case.losses, groups, each, retain_graph=True)
        found.append([p.grad.clone() for p in case.shared])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
