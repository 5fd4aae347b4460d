"""What ``accord.backward`` leaves in ``.grad`` and reports, case by case."""

import math
import warnings
from contextlib import nullcontext

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn
from torch.utils.checkpoint import checkpoint

import accord
from accord.engines import Batched
from accord.errors import AccordError, ConfigurationError, InexactGramianWarning, NonFiniteLossWarning

ENGINES = ["loop", "batched"]
EXACT = [*ENGINES, "gramian"]


def quadratics(weight):
    """Two losses of one parameter ``[2]`` with gradients (w, 0) and (0, 4)."""
    return weight[0] ** 2 / 2, 4 * weight[1]


def gradients(module):
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def assert_equal(found, wanted, tolerance=1e-6):
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("engine", EXACT)
def test_by_hand(engine):
    weight = nn.Parameter(torch.tensor([3.0, 5.0]))
    a, b = quadratics(weight)
    step = accord.backward({"a": a, "b": b}, shared=[weight], balancer=balancers.Given([2.0, 0.5]), engine=engine)
    assert weight.grad.tolist() == [6.0, 2.0]
    assert step.names == ("a", "b")
    assert step.losses.tolist() == [4.5, 20.0]
    assert step.weights.tolist() == [2.0, 0.5]
    assert step.gramian.tolist() == [[9.0, 0.0], [0.0, 16.0]]
    assert step.active.tolist() == [True, True]
    assert step.skipped == {}
    assert step.cosines().tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_heads_receive_the_mean_whatever_the_direction():
    case = zoo.build("mlp")
    torch.stack(list(case.losses.values())).mean().backward(retain_graph=True)
    heads = list(case.module[1].parameters())
    wanted = [p.grad.clone() for p in heads]
    case.module.zero_grad()
    accord.backward(case.losses, shared=case.shared, balancer=balancers.Given([0.0, 0.0, 9.0]))
    assert_equal([p.grad for p in heads], wanted)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Mean(), balancers.Equal(), balancers.Median()])
def test_micro_batches_accumulate(engine, balancer):
    case = zoo.build("head_shared_by_two_tasks")
    before = [torch.randn_like(p) for p in case.module.parameters()]
    accord.backward(case.losses, case.shared, balancer, engine=engine, retain_graph=True)
    alone = gradients(case.module)
    for parameter, value in zip(case.module.parameters(), before, strict=True):
        parameter.grad = value.clone()
    accord.backward(case.losses, case.shared, balancer, engine=engine)
    assert_equal(gradients(case.module), [a + b for a, b in zip(alone, before, strict=True)])


@pytest.mark.parametrize("name", ["unused_parameters", "frozen_parts"])
@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Median(), balancers.Equal()])
def test_unused_and_frozen_parameters_keep_no_gradient(name, balancer):
    case = zoo.build(name)
    torch.stack(list(case.losses.values())).sum().backward(retain_graph=True)
    reached = [p.grad is not None for p in case.module.parameters()]
    assert not all(reached)
    case.module.zero_grad()
    accord.backward(case.losses, case.shared, balancer)
    assert [p.grad is not None for p in case.module.parameters()] == reached


def test_full_jacobian_aggregator_sees_the_jacobian():
    case = zoo.build("unused_parameters")
    wanted = accord.jacobian(case.losses, case.shared).median(0).values
    for engine in ENGINES:
        case.module.zero_grad()
        step = accord.backward(case.losses, case.shared, balancers.Median(), engine=engine, retain_graph=True)
        found = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in case.shared])
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        assert step.weights is None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Median(), balancers.Equal(), balancers.ByNorm()])
def test_a_non_finite_loss_stays_where_it_is(engine, stacked, bad, balancer):
    def step(poisoned):
        case = zoo.build("mlp")
        losses = list(case.losses.values())
        head = case.module[1]["t1"].weight
        if poisoned:
            # Its derivative is not finite either, so a gradient of zero sent into it comes out as NaN.
            losses[1] = losses[1] + (head.sum() * 0).sqrt() + bad
        else:
            losses[1] = None
        if stacked and poisoned:
            losses = torch.stack(losses)
        return case, accord.backward(losses, case.shared, balancer, engine=engine)

    wanted, _ = step(poisoned=False)
    with pytest.warns(NonFiniteLossWarning, match=rf"task '1'.*{bad}"):
        found, result = step(poisoned=True)
    assert_equal(gradients(found.module), gradients(wanted.module))
    assert result.active.tolist() == [True, False, True]
    assert str(bad) in result.skipped["1"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "balancer", [balancers.Unit(), balancers.Median(), balancers.Equal(), balancers.ByNorm(), balancers.Learned(3)]
)
@pytest.mark.parametrize("where", ["head and trunk", "head"])
def test_a_non_finite_gradient_stays_where_it_is(engine, balancer, where):
    case = zoo.build("mlp")
    losses = dict(case.losses)
    features = case.module[0](torch.randn(1, 4)) if where == "head and trunk" else torch.zeros(1, 5)
    inner = case.module[1]["t1"](features) * 0
    losses["t1"] = losses["t1"] * (1 + inner.square().sum().sqrt())  # finite value, derivative 0 / 0
    assert torch.isfinite(losses["t1"])
    with pytest.warns(NonFiniteLossWarning, match="task 't1'.*gradient is not finite"):
        step = accord.backward(losses, case.shared, balancer, engine=engine)
    heads = case.module[1]
    assert all(torch.isfinite(p.grad).all() for p in case.shared)
    assert all(torch.isfinite(p.grad).all() for name in ("t0", "t2") for p in heads[name].parameters())
    assert all(p.grad is None for p in heads["t1"].parameters())
    assert step.active.tolist() == [True, False, True]
    assert step.skipped == {"t1": "its gradient is not finite"}


def test_an_infinite_gradient_in_the_trunk_is_left_out():
    case = zoo.build("mlp")
    trunk = case.module[0]
    features = trunk(torch.randn(4, 4))
    losses = {"good": features.sum(), "bad": features.mean() + (trunk[0].weight[0, 0] * 0).sqrt()}
    with pytest.warns(NonFiniteLossWarning, match="'bad'"):
        accord.backward(losses, case.shared, balancers.Unit())
    wanted = torch.autograd.grad(trunk(torch.zeros(1, 4)).sum() * 0, case.shared)
    assert all(
        torch.isfinite(p.grad).all() and p.grad.shape == w.shape for p, w in zip(case.shared, wanted, strict=True)
    )


def test_an_empty_batch_is_inactive():
    case = zoo.build("mlp")
    case.losses["t2"] = torch.nn.functional.mse_loss(case.module[1]["t2"](torch.zeros(0, 5)), torch.zeros(0, 2))
    with pytest.warns(NonFiniteLossWarning, match="task 't2' is left out of this step: its loss is nan"):
        step = accord.backward(case.losses, case.shared, balancers.Unit())
    assert step.skipped == {"t2": "its loss is nan"}


@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Equal(), balancers.Median(), balancers.Learned(3)])
def test_absent_tasks_are_inactive_without_a_warning(balancer):
    case = zoo.build("mlp")
    none = accord.backward({**case.losses, "t1": None}, case.shared, balancer, retain_graph=True)
    first = gradients(case.module)
    case.module.zero_grad()
    del case.losses["t1"]
    missing = accord.backward(case.losses, case.shared, balancer, tasks=["t0", "t1", "t2"])
    assert_equal(gradients(case.module), first)
    for step in (none, missing):
        assert step.skipped == {"t1": "absent"}
        assert step.active.tolist() == [True, False, True]
        assert step.losses[1] == 0
    assert all(p.grad is None for p in case.module[1]["t1"].parameters())


def test_a_constant_loss_is_inactive():
    case = zoo.build("mlp")
    step = accord.backward({**case.losses, "t3": torch.tensor(2.0)}, case.shared, balancers.Mean())
    assert "constant" in step.skipped["t3"]
    assert step.losses[3] == 2.0


@pytest.mark.parametrize("balancer", [balancers.Mean(), balancers.Equal(), balancers.ByNorm(), balancers.Median()])
def test_no_task_at_all_changes_nothing(balancer):
    weight = nn.Parameter(torch.ones(2))
    with pytest.warns(NonFiniteLossWarning):
        step = accord.backward({"a": None, "b": weight.sum() * math.nan}, [weight], balancer)
    assert weight.grad is None
    assert not step.active.any()
    assert step.weights.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("engine", EXACT)
def test_a_loss_far_out_of_scale_is_scaled_not_dropped(engine):
    weight = nn.Parameter(torch.ones(3))
    sizes = [1e20, 1.0, 1e-25, 3e37]
    losses = [weight.sum() * size for size in sizes]
    step = accord.backward(losses, [weight], balancers.Unit(), engine=engine)
    assert step.active.all()
    expected = torch.tensor([[3 * a * b for a in sizes] for b in sizes], dtype=torch.float64)
    torch.testing.assert_close(step.gramian, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(weight.grad, torch.full((3,), 3**-0.5))


def test_learned_weighting_receives_its_own_gradients():
    case, weighting = zoo.build("mlp"), balancers.Learned(3)
    losses = torch.stack(list(case.losses.values()))
    weighting.objective(losses).backward(retain_graph=True)
    wanted = [*gradients(case.module), weighting.s.grad.clone()]
    case.module.zero_grad()
    weighting.zero_grad()
    step = accord.backward(case.losses, case.shared, weighting)
    assert_equal([*gradients(case.module), weighting.s.grad], wanted)
    torch.testing.assert_close(step.weights, torch.exp(-weighting.s.detach()))
    assert step.gramian is None
    assert step.cosines() is None


@pytest.mark.parametrize("engine", EXACT)
def test_weighting_with_gramian_weighs_whole_losses(engine):
    case = zoo.build("mlp")
    norms = accord.gramian(case.losses, case.shared).diagonal().sqrt()
    torch.stack([loss / norm for loss, norm in zip(case.losses.values(), norms.tolist(), strict=True)]).sum().backward(
        retain_graph=True
    )
    wanted = gradients(case.module)
    case.module.zero_grad()
    accord.backward(case.losses, case.shared, balancers.ByNorm(), engine=engine)
    assert_equal(gradients(case.module), wanted, 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.ByNorm()])
def test_at_restricts_the_gramian_only(engine, balancer):
    case = zoo.build("mlp")
    last = case.module[0][2].weight
    step = accord.backward(case.losses, case.shared, balancer, at=[last], engine=engine, retain_graph=True)
    torch.testing.assert_close(step.gramian, accord.gramian(case.losses, [last]), rtol=1e-5, atol=1e-6)
    found = gradients(case.module)
    case.module.zero_grad()
    weights = step.weights.tolist()
    if isinstance(balancer, balancers.Unit):
        accord.backward(case.losses, case.shared, balancers.Given(weights))
    else:
        sum(w * loss for w, loss in zip(weights, case.losses.values(), strict=True)).backward()
    assert_equal(found, gradients(case.module))


def test_at_a_representation():
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
    features = trunk(torch.randn(6, 4))
    losses = heads.losses(features)
    wanted = accord.gramian(losses, [features])
    rows = torch.stack(
        [torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in losses.values()]
    )
    torch.testing.assert_close(wanted.float(), rows @ rows.T)
    for engine in ENGINES:
        step = accord.backward(
            losses, trunk.parameters(), balancers.Unit(), at=[features], engine=engine, retain_graph=True
        )
        torch.testing.assert_close(step.gramian, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("balancer", [balancers.Mean(), balancers.Equal()])
def test_named_task_parameters_are_the_only_ones_that_move(balancer):
    case = zoo.build("mlp")
    chosen = list(case.module[1]["t0"].parameters())
    accord.backward(case.losses, case.shared, balancer, task_parameters=chosen, retain_graph=True)
    assert all(p.grad is not None for p in chosen)
    assert all(p.grad is None for name in ("t1", "t2") for p in case.module[1][name].parameters())
    case.module.zero_grad()
    accord.backward(case.losses, case.shared, balancer, task_parameters=[])
    assert all(p.grad is None for p in case.module[1].parameters())


def test_inputs_that_require_gradients_receive_the_mean_gradient():
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
    x = torch.randn(6, 4, requires_grad=True)
    losses = heads.losses(trunk(x))
    wanted = torch.autograd.grad(torch.stack(list(losses.values())).mean(), x, retain_graph=True)[0]
    for engine in ENGINES:
        x.grad = None
        accord.backward(losses, trunk.parameters(), balancers.Unit(), engine=engine, retain_graph=True)
        torch.testing.assert_close(x.grad, wanted)


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Equal()])
def test_the_graph_is_freed_unless_kept(balancer, engine):
    case = zoo.build("mlp")
    accord.backward(case.losses, case.shared, balancer, engine=engine, retain_graph=True)
    accord.backward(case.losses, case.shared, balancer, engine=engine)
    with pytest.raises(ConfigurationError, match="retain_graph=True"):
        accord.backward(case.losses, case.shared, balancer, engine=engine)


@pytest.mark.parametrize("engine", EXACT)
def test_hooks_on_a_representation_act_once(engine):
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
    features = trunk(torch.randn(6, 4))
    features.register_hook(lambda gradient: gradient * 0.1)
    losses = heads.losses(features)
    torch.stack(list(losses.values())).mean().backward(retain_graph=True)
    wanted = gradients(trunk)
    trunk.zero_grad()
    blind = engine == "gramian"  # to hooks, and says so
    with pytest.warns(InexactGramianWarning) if blind else nullcontext():
        accord.backward(losses, trunk.parameters(), balancers.Mean(), engine=engine)
    assert_equal(gradients(trunk), wanted)


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast(engine, dtype):
    trunk = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 5))
    heads, x = zoo.Heads(5), torch.randn(8, 4)
    with torch.autocast("cpu", dtype=dtype):
        losses = heads.losses(trunk(x))
        step = accord.backward(losses, trunk.parameters(), balancers.Unit(), engine=engine, retain_graph=True)
    rows = accord.jacobian(losses, trunk.parameters()).double()
    # Exact products of these rows: autocast would have rounded them to three digits.
    torch.testing.assert_close(step.gramian, rows @ rows.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_parameters_of_other_precisions(engine, dtype):
    trunk, heads = zoo.mlp_trunk().to(dtype), zoo.Heads(5).to(dtype)
    losses = heads.losses(trunk(torch.randn(6, 4, dtype=dtype)))
    for balancer in (balancers.Unit(), balancers.Median(), balancers.ByNorm(), balancers.Learned(3)):
        trunk.zero_grad()
        accord.backward(losses, trunk.parameters(), balancer, engine=engine, retain_graph=True)
        assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in trunk.parameters())


@pytest.mark.parametrize("engine", ENGINES)
def test_checkpointing(engine):
    # Masks are drawn again inside the backward, which a vectorised one cannot do.
    dropped = nn.Dropout(0.3 if engine == "loop" else 0.0)
    trunk, heads = nn.Sequential(zoo.mlp_trunk(), dropped, zoo.mlp_trunk(5, 5)), zoo.Heads(5)
    x = torch.randn(6, 4)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = accord.jacobian(heads.losses(trunk(x)), trunk.parameters())
        torch.manual_seed(3)
        losses = heads.losses(checkpoint(trunk, x, use_reentrant=False))
        torch.testing.assert_close(accord.jacobian(losses, trunk.parameters(), engine=engine), plain)


@pytest.mark.parametrize(
    "balancer",
    [balancers.Unit(), balancers.Sum(), balancers.Median(), balancers.Equal(), balancers.Given([0.5, 2.0, 1.0])],
)
def test_reentrant_checkpointing_of_trunk_and_head(balancer):
    trunk, heads = nn.Sequential(zoo.mlp_trunk(), zoo.mlp_trunk(5, 5)), zoo.Heads(5)
    tail = nn.Linear(5, 5)  # reached by two tasks, not listed as shared
    model = nn.ModuleList([trunk, heads, tail])
    x = torch.randn(6, 4, requires_grad=True)

    def losses(run):
        features = run(trunk, x)
        hidden = run(heads["t0"], features)
        return [hidden.pow(2).mean(), tail(features).sum(), heads["t1"](tail(features)).pow(2).mean()]

    accord.backward(losses(lambda f, v: f(v)), trunk.parameters(), balancer)
    wanted = gradients(model)
    model.zero_grad()
    accord.backward(losses(lambda f, v: checkpoint(f, v, use_reentrant=True)), trunk.parameters(), balancer)
    assert_equal(gradients(model), wanted)


def test_reentrant_checkpointing_is_refused_where_it_cannot_work():
    trunk = zoo.mlp_trunk()
    features = checkpoint(trunk, torch.randn(6, 4, requires_grad=True), use_reentrant=True)
    losses = [features.sum(), features.pow(2).sum()]
    for call in (
        lambda: accord.jacobian(losses, trunk.parameters()),
        lambda: accord.backward(losses, trunk.parameters(), balancers.Unit(), engine="batched"),
        lambda: accord.backward(losses, trunk.parameters(), balancers.ByNorm()),
    ):
        with pytest.raises(ConfigurationError, match="use_reentrant=False"):
            call()
    trunk = zoo.mlp_trunk()
    trunk[0].weight.register_post_accumulate_grad_hook(lambda parameter: None)
    features = checkpoint(trunk, torch.randn(6, 4, requires_grad=True), use_reentrant=True)
    with pytest.raises(ConfigurationError, match="use_reentrant=True runs such hooks in the backward of every task"):
        accord.backward(zoo.Heads(5).losses(features), trunk.parameters(), balancers.Mean())


def test_sparse_gradients():
    table, mix = nn.Embedding(9, 4, sparse=True), nn.Linear(4, 3)
    features = mix(table(torch.tensor([1, 5, 5])))
    losses = [features.sum(), features.pow(2).sum()]
    for engine in ENGINES:
        with pytest.raises(ConfigurationError, match=r"has sparse gradients.*sparse=False"):
            accord.backward(losses, [table.weight, mix.weight], balancers.Mean(), engine=engine, retain_graph=True)
        assert table.weight.grad is None
        assert mix.weight.grad is None
    accord.backward(losses, [mix.weight], balancers.Mean(), retain_graph=True)  # a task parameter may be sparse
    found = table.weight.grad
    assert found.is_sparse
    table.weight.grad = None
    accord.backward(losses, [table.weight, mix.weight], balancers.Equal())
    torch.testing.assert_close(table.weight.grad.to_dense(), found.to_dense())


@pytest.mark.parametrize("engine", [*EXACT, "auto", "grouped", "sketch"])
@pytest.mark.parametrize("where", ["shared", "own"])
def test_hooks_on_parameters_act_or_are_refused(engine, where):
    def step(engine, factor):
        torch.manual_seed(0)
        trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
        features = trunk(torch.randn(6, 4))
        losses = [head(features[i::3]).square().mean() for i, head in enumerate(heads.values())]
        hooked = trunk[0].weight if where == "shared" else heads["t0"].weight
        hooked.register_hook(lambda gradient: gradient * factor)
        accord.backward(losses, trunk.parameters(), balancers.Mean(), engine=engine)
        return gradients(trunk) + gradients(heads), 0 if where == "shared" else len(list(trunk.parameters()))

    wanted, position = step("loop", 1)
    wanted[position] *= 10
    if engine in ("gramian", "sketch") or (engine, where) == ("grouped", "shared"):
        with pytest.raises(ConfigurationError, match=r"shape \[.*\] has a hook.*use engine="):
            step(engine, 10)
    else:
        assert_equal(step(engine, 10)[0], wanted)


@pytest.mark.parametrize("balancer", [balancers.Mean, balancers.Equal])
def test_hooks_that_wait_for_the_gradient_run_once_it_is_there(balancer):
    case, seen = zoo.build("mlp"), []
    for parameter in case.module.parameters():
        parameter.register_post_accumulate_grad_hook(lambda one: seen.append((id(one), one.grad.clone())))
    accord.backward(case.losses, case.shared, balancer())
    assert len(seen) == len(list(case.module.parameters()))
    found = dict(seen)
    assert all(torch.equal(found[id(p)], p.grad) for p in case.module.parameters())


class Watchful(torch.Tensor):
    """A subclass whose operations pass through ``__torch_function__``."""


@pytest.mark.parametrize(
    ("engine", "balancer"),
    [*((engine, balancers.Unit) for engine in (*EXACT, "sketch")), ("loop", balancers.Median)],
)
def test_parameters_of_a_tensor_subclass(engine, balancer):
    case, plain = zoo.build("mlp"), zoo.build("mlp")
    trunk, heads = case.module
    trunk[0].weight = nn.Parameter(trunk[0].weight.detach().as_subclass(Watchful))
    x = torch.randn(6, 4)
    accord.backward(heads.losses(trunk(x)), trunk.parameters(), balancer(), engine=engine)
    accord.backward(plain.module[1].losses(plain.module[0](x)), plain.module[0].parameters(), balancer())
    assert_equal([g.as_subclass(torch.Tensor) for g in gradients(case.module)], gradients(plain.module), 1e-4)


def test_complex_parameters():
    weight = nn.Parameter(torch.tensor([1 + 2j, 3 - 1j]))

    def losses():
        return [weight.abs().sum(), weight.real.square().sum()]

    for engine in [*EXACT, "representation", "grouped", "sketch", "auto"]:
        with pytest.raises(ConfigurationError, match=r"shape \[2\] is complex.*view_as_complex"):
            accord.backward(losses(), [weight], balancers.Mean(), engine=engine)
        assert weight.grad is None
    with pytest.raises(ConfigurationError, match="is complex"):
        accord.jacobian(losses(), [weight])
    (wanted,) = torch.autograd.grad(sum(losses()) / 2, weight)
    accord.backward(losses(), [weight], balancers.Equal())  # a weighting compares nothing
    torch.testing.assert_close(weight.grad, wanted)
    scale = nn.Parameter(torch.ones(2))  # and a task parameter may be complex
    weight.grad = None
    features = weight * scale
    accord.backward([features.abs().sum(), features.real.square().sum()], [scale], balancers.Mean())
    torch.testing.assert_close(weight.grad, wanted)


def test_batch_norm_statistics_move_once():
    trunk, heads = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)), zoo.Heads(5)
    losses = heads.losses(trunk(torch.randn(6, 4)))
    before = trunk[1].running_mean.clone()
    for engine in ENGINES:
        accord.backward(losses, trunk.parameters(), balancers.Unit(), engine=engine, retain_graph=True)
    assert torch.equal(trunk[1].running_mean, before)
    assert trunk[1].num_batches_tracked == 1


def test_an_operation_without_vectorised_backward_is_named():
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return torch.from_numpy(gradient.numpy() * 2)

    trunk = nn.Linear(4, 5)
    losses = zoo.Heads(5).losses(Odd.apply(trunk(torch.randn(6, 4))))
    with pytest.raises(ConfigurationError, match=r'no vectorised backward.*engine="loop"'):
        accord.backward(losses, trunk.parameters(), balancers.Unit(), engine="batched", retain_graph=True)
    for engine in ("loop", Batched(chunk=1)):
        trunk.zero_grad()
        accord.backward(losses, trunk.parameters(), balancers.Unit(), engine=engine, retain_graph=True)
        assert trunk.weight.grad.isfinite().all()


def test_channels_last_gradients_keep_the_layout():
    case = zoo.build("residual_cnn_channels_last")
    accord.backward(case.losses, case.shared, balancers.Unit())
    assert all(p.grad.stride() == p.stride() for p in case.shared)


def test_nothing_is_written_when_the_balancer_fails():
    case = zoo.build("mlp")
    for balancer in (balancers.Given([1.0, math.nan, 0.0]), balancers.Given([math.inf, 1.0, 0.0])):
        with pytest.raises(AccordError, match=r"Given.weights returned numbers that are not finite.*no gradient"):
            accord.backward(case.losses, case.shared, balancer, retain_graph=True)
    assert all(p.grad is None for p in case.module.parameters())


def test_gradients_do_not_share_memory():
    """In-place clipping of one gradient must not change another."""
    module = nn.Module()
    module.a, module.b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    module.c, module.d = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    for engine in ENGINES:
        module.zero_grad()
        losses = [(module.a + module.b + module.c + module.d).sum(), (module.a + module.b).pow(2).sum()]
        accord.backward(losses, [module.a, module.b], balancers.Mean(), engine=engine)
        for parameter in module.parameters():
            before = [p.grad.clone() for p in module.parameters() if p is not parameter]
            parameter.grad.mul_(7)
            assert_equal([p.grad for p in module.parameters() if p is not parameter], before)


def test_no_warning_in_an_ordinary_step():
    case = zoo.build("transformer")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for engine in ENGINES:
            accord.backward(case.losses, case.shared, balancers.Unit(), engine=engine, retain_graph=True)


@pytest.mark.parametrize("engine", ["gramian", "representation"])
@pytest.mark.parametrize("where", ["head and trunk", "head"])
def test_engines_without_jacobian_keep_bad_gradients_out(engine, where):
    case = zoo.build("mlp")
    losses = dict(case.losses)
    features = case.module[0](torch.randn(1, 4)) if where == "head and trunk" else torch.zeros(1, 5)
    losses["t1"] = losses["t1"] * (1 + (case.module[1]["t1"](features) * 0).square().sum().sqrt())
    with pytest.warns(NonFiniteLossWarning, match="task 't1'.*gradient is not finite"):
        step = accord.backward(losses, case.shared, balancers.Mean(), engine=engine)
    assert step.skipped == {"t1": "its gradient is not finite"}
    assert all(p.grad is None for p in case.module[1]["t1"].parameters())
    clean = zoo.build("mlp")
    accord.backward({**clean.losses, "t1": None}, clean.shared, balancers.Mean())
    assert_equal(gradients(case.module), gradients(clean.module))


def test_the_representation_leaves_out_whose_head_spoils_a_shared_parameter():
    case, clean = zoo.build("mlp"), zoo.build("mlp")
    losses = dict(case.losses)
    losses["t1"] = losses["t1"] + (case.shared[0][0, 0] * 0).abs().sqrt()
    with pytest.warns(NonFiniteLossWarning, match="task 't1'.*gradient is not finite"):
        accord.backward(losses, case.shared, balancers.Mean(), engine="representation")
    accord.backward({**clean.losses, "t1": None}, clean.shared, balancers.Mean())
    assert_equal(gradients(case.module), gradients(clean.module))


class InfiniteBelow(torch.autograd.Function):
    """Finite above, not finite below: what overflows inside a trunk."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


@pytest.mark.parametrize("scale", [None, 2.0**10])
@pytest.mark.parametrize("way", ["representation", "at", "every"])
def test_a_direction_that_nobody_measured_must_be_finite(way, scale):
    first, second, heads = nn.Linear(4, 5), nn.Linear(5, 5), zoo.Heads(5)
    balancer = accord.engines.Every(accord.aggregation.GradVac(), 3 if way == "every" else 1)
    scaler = None if scale is None else torch.amp.GradScaler("cpu", init_scale=scale)
    shared = [*first.parameters(), *second.parameters()]

    def step(between):
        features = second(between(first(torch.randn(6, 4))))
        options = {"engine": "representation"} if way == "representation" else {"at": [features]} if way == "at" else {}
        return accord.backward(heads.losses(features), shared, balancer, scaler=scaler, **options)

    assert step(torch.tanh).active.all()
    before = [p.grad.clone() for p in [*shared, *heads.parameters()]]
    state = {name: value.clone() for name, value in balancer.state_dict().items()}
    if scale is None:
        with pytest.warns(NonFiniteLossWarning, match="gradient of the shared parameters is not finite"):
            found = step(InfiniteBelow.apply)
        assert_equal([p.grad for p in [*shared, *heads.parameters()]], before)
    else:
        found = step(InfiniteBelow.apply)
        assert "overflowed at scale 1024" in found.skipped["t0"]
        assert all(p.grad.isinf().all() for p in shared)
    assert not found.active.any()
    torch.testing.assert_close(dict(balancer.state_dict()), state, equal_nan=True)


@pytest.mark.parametrize("engine", ["gramian", "representation"])
def test_engines_without_jacobian_refuse_methods_that_need_it(engine):
    case = zoo.build("mlp")
    with pytest.raises(ConfigurationError, match='never forms the Jacobian; use engine="loop"'):
        accord.backward(case.losses, case.shared, balancers.Median(), engine=engine)
    assert all(p.grad is None for p in case.module.parameters())


def test_representation_is_the_gramian_at_the_features():
    trunk, heads = zoo.mlp_trunk(), zoo.Heads(5)
    features = trunk(torch.randn(6, 4))
    losses = heads.losses(features)
    found = accord.gramian(losses, trunk.parameters(), engine="representation")
    torch.testing.assert_close(found, accord.gramian(losses, [features]), rtol=1e-5, atol=1e-6)


def test_a_complex_representation_is_real_and_imaginary_parts():
    trunk, heads = nn.Linear(4, 6), [torch.randn(3, 1, dtype=torch.complex64).requires_grad_() for _ in range(2)]
    parts = trunk(torch.randn(7, 4)).view(7, 3, 2)
    features = torch.view_as_complex(parts)
    losses = [(features @ head).abs().square().mean() for head in heads]
    found = accord.gramian(losses, trunk.parameters(), engine="representation")
    torch.testing.assert_close(found, accord.gramian(losses, [parts]), rtol=1e-5, atol=1e-6)


def test_embedding_rule_reads_only_looked_up_rows():
    for options in ({}, {"sparse": True}, {"padding_idx": 2}, {"scale_grad_by_freq": True}):
        table = nn.Embedding(50, 4, **options)
        features = table(torch.tensor([[1, 2], [1, 1], [7, 2]])).sum(1)
        losses = list(zoo.Heads(4).losses(features).values())
        rows = [torch.autograd.grad(loss, table.weight, retain_graph=True)[0] for loss in losses]
        rows = torch.stack([(row.to_dense() if row.is_sparse else row).flatten() for row in rows]).double()
        torch.testing.assert_close(
            accord.gramian(losses, [table.weight], engine="gramian"), rows @ rows.T, rtol=1e-5, atol=1e-7
        )
        accord.backward(losses, [table.weight], balancers.Unit(), engine="gramian")
        assert table.weight.grad.is_sparse == bool(options.get("sparse"))
