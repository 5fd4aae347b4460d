"""Loss scaling: what the gradient scaler, the optimiser and the balancer each see."""

import math

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn
from torch.utils.checkpoint import checkpoint

import accord
from accord.aggregation import GradVac, Mean, UPGrad
from accord.errors import ConfigurationError, NonFiniteLossWarning
from accord.weighting import DynamicWeightAverage, RandomLossWeighting

EXACT = ["loop", "batched", "gramian"]
ALL = [balancers.Unit(), balancers.Median(), balancers.ByNorm(), balancers.Equal()]


def scaler(scale=1024.0, **options):
    return torch.amp.GradScaler("cpu", init_scale=scale, **options)


def gradients(module):
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def half(trunk, heads, x, factor=1.0):
    """Losses under float16 autocast; ``factor`` sizes them, and with them the gradients inside."""
    with torch.autocast("cpu", dtype=torch.float16):
        return {name: loss.float() * factor for name, loss in heads.losses(trunk(x)).items()}


def model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trunk = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 5))
        return trunk, zoo.Heads(5), torch.randn(8, 4)


class Greedy(balancers.Unit):
    """Counts its calls and notes the losses that it was shown."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.seen = None

    def weights(self, gramian, *, losses=None, active=None):
        self.calls += 1
        self.seen = losses
        return super().weights(gramian, losses=losses, active=active)


@pytest.mark.parametrize(
    ("engine", "balancer"),
    [(e, b) for e in EXACT for b in ALL if not (e == "gramian" and isinstance(b, balancers.Median))],
)
def test_gradients_are_scaled_and_nothing_else(engine, balancer):
    case = zoo.build("head_shared_by_two_tasks")
    plain = accord.backward(case.losses, case.shared, balancer, engine=engine, retain_graph=True)
    wanted = gradients(case.module)
    case.module.zero_grad()
    step = accord.backward(case.losses, case.shared, balancer, engine=engine, scaler=scaler())
    for found, expected in zip(gradients(case.module), wanted, strict=True):
        torch.testing.assert_close(found, 1024 * expected)
    assert torch.equal(step.losses, plain.losses)
    for found, expected in ((step.weights, plain.weights), (step.gramian, plain.gramian)):
        assert (found is None) == (expected is None)
        if expected is not None:
            torch.testing.assert_close(found, expected)


def test_parameters_of_a_weighting_are_unscaled_with_the_model():
    case, weighting = zoo.build("mlp"), balancers.Learned(3)
    accord.backward(case.losses, case.shared, weighting, retain_graph=True)
    wanted = weighting.s.grad.clone()
    weighting.zero_grad()
    step = accord.backward(case.losses, case.shared, weighting, scaler=scaler())
    torch.testing.assert_close(weighting.s.grad, 1024 * wanted)
    torch.testing.assert_close(step.weights, torch.exp(-weighting.s.detach()))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointed_models_are_scaled(use_reentrant):
    trunk, heads, x = model()
    x.requires_grad_()
    accord.backward(heads.losses(trunk(x)), trunk.parameters(), balancers.Unit())
    wanted = [*gradients(trunk), *gradients(heads)]
    trunk.zero_grad()
    heads.zero_grad()
    features = checkpoint(trunk, x, use_reentrant=use_reentrant)
    accord.backward(heads.losses(features), trunk.parameters(), balancers.Unit(), scaler=scaler())
    for found, expected in zip([*gradients(trunk), *gradients(heads)], wanted, strict=True):
        # Sums are taken in another order, and numbers that nearly cancel are off by more of themselves.
        torch.testing.assert_close(found, 1024 * expected, rtol=1e-5, atol=1e-5 * float(1024 * expected.abs().max()))


@pytest.mark.parametrize("engine", EXACT)
def test_small_gradients_survive_half_precision(engine):
    trunk, heads, x = model()
    exact = {name: loss * 1e-7 for name, loss in heads.losses(trunk(x)).items()}
    wanted = accord.jacobian(exact, trunk.parameters()).double()
    lost = accord.jacobian(half(trunk, heads, x, 1e-7), trunk.parameters())
    assert (lost == 0).float().mean() > 0.3  # what scaling is for
    steps = [
        accord.backward(half(trunk, heads, x, 1e-7), trunk.parameters(), UPGrad(), engine=engine, scaler=scaler(size))
        for size in (2.0**18, 2.0**20)
    ]
    for step in steps:
        torch.testing.assert_close(step.gramian, wanted @ wanted.T, rtol=0.02, atol=0)
    torch.testing.assert_close(steps[0].weights, steps[1].weights, rtol=0.01, atol=1e-3)
    assert all(p.grad.abs().sum() > 0 for p in trunk.parameters())


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("balancer", [Greedy, lambda: DynamicWeightAverage(), RandomLossWeighting])
def test_an_overflow_is_the_scalers_affair(engine, balancer):
    trunk, heads, x = model()
    balancer, grad_scaler = balancer(), scaler(2.0**24)
    optimisers = [torch.optim.SGD(trunk.parameters(), lr=0.1), torch.optim.SGD(heads.parameters(), lr=0.1)]
    before = {key: value.clone() for key, value in balancer.state_dict().items()}
    start = [p.clone() for p in [*trunk.parameters(), *heads.parameters()]]
    step = accord.backward(half(trunk, heads, x), trunk.parameters(), balancer, engine=engine, scaler=grad_scaler)
    assert not step.active.any()
    assert "overflowed at scale 1.67772e+07" in step.skipped["t2"]
    assert set(step.skipped) == {"t0", "t1", "t2"}
    assert step.losses.all()
    for optimiser in optimisers:
        grad_scaler.step(optimiser)
    grad_scaler.update()
    assert grad_scaler.get_scale() == 2.0**23
    assert all(torch.equal(p, old) for p, old in zip([*trunk.parameters(), *heads.parameters()], start, strict=True))
    state = balancer.state_dict()
    assert all(torch.equal(state[key], value) for key, value in before.items())


def test_training_finds_its_scale():
    """The whole loop, unscaling and clipping included, from a scale that is far too large."""
    trunk, heads, x = model()
    parameters = [*trunk.parameters(), *heads.parameters()]
    optimiser, grad_scaler, balancer = torch.optim.SGD(parameters, lr=0.1), scaler(2.0**26), Greedy()
    losses, given_up = [], 0
    for _ in range(60):
        optimiser.zero_grad()
        step = accord.backward(half(trunk, heads, x), trunk.parameters(), balancer, scaler=grad_scaler)
        grad_scaler.unscale_(optimiser)
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        given_up += not step.active.any()
        assert math.isfinite(norm) == bool(step.active.any())
        grad_scaler.step(optimiser)
        grad_scaler.update()
        losses.append(float(step.losses.sum()))
    assert 0 < given_up < 20
    assert balancer.calls == 60 - given_up
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(balancer.seen, step.losses)  # as people know them, not scaled


def test_micro_batches_accumulate_scaled():
    case, grad_scaler = zoo.build("mlp"), scaler()
    for _ in range(2):
        accord.backward(case.losses, case.shared, balancers.Unit(), scaler=grad_scaler, retain_graph=True)
    optimiser = torch.optim.SGD(case.module.parameters(), lr=1.0)
    grad_scaler.unscale_(optimiser)
    found = gradients(case.module)
    case.module.zero_grad()
    accord.backward(case.losses, case.shared, balancers.Unit())
    for twice, once in zip(found, gradients(case.module), strict=True):
        torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Equal(), balancers.ByNorm()])
def test_a_loss_that_is_not_finite_itself_is_no_overflow(balancer):
    trunk, heads, x = model()
    grad_scaler = scaler()
    losses = half(trunk, heads, x)
    losses["t1"] = losses["t1"] * math.nan
    with pytest.warns(NonFiniteLossWarning, match="'t1'"):
        step = accord.backward(losses, trunk.parameters(), balancer, scaler=grad_scaler)
    assert step.active.tolist() == [True, False, True]
    grad_scaler.step(torch.optim.SGD([*trunk.parameters(), *heads.parameters()], lr=0.1))
    grad_scaler.update()
    assert grad_scaler.get_scale() == 1024


@pytest.mark.parametrize("balancer", [balancers.Unit(), balancers.Equal(), balancers.ByNorm()])
def test_once_the_scale_cannot_be_blamed_the_task_is_left_out(balancer):
    case = zoo.build("mlp")
    inner = case.module[1]["t1"](torch.zeros(1, 5)) * 0
    case.losses["t1"] = case.losses["t1"] * (1 + inner.square().sum().sqrt())  # finite, with derivative 0 / 0
    grad_scaler = scaler(2.0)
    step = accord.backward(case.losses, case.shared, balancer, scaler=grad_scaler, retain_graph=True)
    assert not step.active.any()
    grad_scaler.step(torch.optim.SGD(case.module.parameters(), lr=0.1))
    grad_scaler.update()
    case.module.zero_grad()
    with pytest.warns(NonFiniteLossWarning, match="task 't1'.*gradient is not finite"):
        step = accord.backward(case.losses, case.shared, balancer, scaler=grad_scaler)
    assert step.active.tolist() == [True, False, True]
    assert all(p.grad.isfinite().all() for p in case.shared)


def test_a_disabled_scaler_changes_nothing():
    case = zoo.build("mlp")
    off = torch.amp.GradScaler("cpu", enabled=False)
    accord.backward(case.losses, case.shared, Mean(), retain_graph=True)
    wanted = gradients(case.module)
    case.module.zero_grad()
    accord.backward(case.losses, case.shared, Mean(), scaler=off)
    assert all(torch.equal(a, b) for a, b in zip(gradients(case.module), wanted, strict=True))


def test_losses_in_half_precision_start_within_its_range():
    """65536 is no float16: PyTorch's own starting scale is an overflow there, and its half is not."""
    weight = nn.Parameter(torch.ones(2, dtype=torch.float16))
    for scale, active in ((65536.0, False), (32768.0, True)):
        weight.grad = None
        losses = [weight[0] * 0.5, weight[1] * 0.25]
        step = accord.backward(losses, [weight], GradVac(), scaler=scaler(scale))
        assert step.active.tolist() == [active, active]
    assert weight.grad.tolist() == [8192.0, 4096.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [(2.0, "scaler is a float; pass a torch.amp.GradScaler"), (scaler(math.inf), "the scaler's scale is inf")],
)
def test_wrong_scalers(given, message):
    case = zoo.build("mlp")
    with pytest.raises(ConfigurationError, match=message):
        accord.backward(case.losses, case.shared, Mean(), scaler=given)
