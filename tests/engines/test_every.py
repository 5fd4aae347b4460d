"""Weights that are reused for some steps: the same direction at the price of an ordinary step."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.aggregation import DBMTL, GradVac, Krum, PerGroup, TrimmedMean, UPGrad
from accord.engines import Every
from accord.errors import ConfigurationError, NonFiniteLossWarning
from accord.weighting import Fixed


class Setting:
    """A small model whose steps differ, with three tasks."""

    def __init__(self, balancer, engine="loop") -> None:
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(4, 5), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(5, 2) for _ in range(3))
        self.balancer, self.engine = balancer, engine

    def losses(self, step: int) -> list[torch.Tensor]:
        inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(step))
        features = self.trunk(inputs)
        return [(head(features) - (i - 1) * 3).pow(2).mean() for i, head in enumerate(self.heads)]

    def step(self, step: int, missing: int | None = None, **options) -> accord.engines.Step:
        self.trunk.zero_grad()
        self.heads.zero_grad()
        losses = [None if i == missing else loss for i, loss in enumerate(self.losses(step))]
        options = {"engine": self.engine} | options
        return accord.backward(losses, self.trunk.parameters(), self.balancer, **options)

    def gradients(self) -> list[torch.Tensor | None]:
        return [p.grad for p in (*self.trunk.parameters(), *self.heads.parameters())]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_weights_are_found_in_every_kth_step_and_held_in_between(k):
    reused, fresh = Setting(Every(UPGrad(), k)), Setting(UPGrad())
    for step in range(7):
        found, wanted = reused.step(step), fresh.step(step)
        if step % k == 0:
            latest = wanted.weights
            assert found.gramian is not None
            torch.testing.assert_close(found.gramian, wanted.gramian)
        else:
            assert found.gramian is None
            assert found.cosines() is None
        torch.testing.assert_close(found.weights, latest)
        given = Setting(balancers.Given(latest.tolist()))
        given.step(step)
        torch.testing.assert_close(reused.gradients(), given.gradients())


def test_the_engine_is_idle_in_between():
    class Counting(accord.engines.Loop):
        asked = 0

        def differentiate(self, problem):
            self.asked += 1
            return super().differentiate(problem)

    engine = Counting()
    setting = Setting(Every(UPGrad(), 3), engine)
    for step in range(7):
        setting.step(step)
    assert engine.asked == 3


@pytest.mark.parametrize("name", zoo.ZOO)
def test_a_held_step_is_the_ordinary_backward_of_the_weighted_losses_on_every_model(name):
    balancer = Every(balancers.Mean(), 2)
    for _ in range(2):
        case = zoo.build(name)
        torch.stack(list(case.losses.values())).mean().backward(retain_graph=True)
        wanted = [p.grad for p in case.module.parameters()]
        case.module.zero_grad()
        step = accord.backward(case.losses, shared=case.shared, balancer=balancer)
    assert step.gramian is None
    bfloat = any(p.dtype == torch.bfloat16 for p in case.shared)
    for parameter, gradient in zip(case.module.parameters(), wanted, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            largest = gradient.abs().max().item()
            torch.testing.assert_close(
                parameter.grad, gradient, rtol=0, atol=(2e-2 if bfloat else 4e-6) * largest + 1e-9
            )


def test_a_run_resumed_in_the_middle_of_a_cycle_goes_on_exactly(tmp_path):
    whole, first = Setting(Every(GradVac(), 3)), Setting(Every(GradVac(), 3))
    for step in range(5):
        first.step(step)
    save_file(first.balancer.state_dict(), tmp_path / "state.safetensors")
    resumed = Setting(Every(GradVac(), 3))
    resumed.balancer.load_state_dict(load_file(tmp_path / "state.safetensors"))
    for step in range(8):
        wanted = whole.step(step).weights
        if step >= 5:
            assert torch.equal(resumed.step(step).weights, wanted)
    assert int(resumed.balancer.age) == 2


def test_tasks_that_vanish_get_their_weight_back_and_new_ones_make_it_decide():
    setting = Setting(Every(UPGrad(), 10))
    full = setting.step(0).weights
    less = setting.step(1, missing=1)
    assert less.gramian is None
    torch.testing.assert_close(less.weights, full * torch.tensor([1.0, 0.0, 1.0]))
    assert setting.heads[1].weight.grad is None
    torch.testing.assert_close(setting.step(2).weights, full)
    late = Setting(Every(UPGrad(), 10))
    late.step(0, missing=2)
    assert late.step(1, missing=2).gramian is None
    assert late.step(2).gramian is not None


def with_infinite_slope(setting: Setting) -> tuple[list[torch.Tensor], nn.Parameter]:
    """Return finite losses of which the second has an infinite gradient, and the parameter behind it."""
    root = nn.Parameter(torch.zeros(()))
    losses = setting.losses(1)
    setting.trunk.zero_grad()
    setting.heads.zero_grad()
    losses[1] = losses[1] + root.sqrt()
    return losses, root


def test_a_gradient_that_is_not_finite_stays_out_of_a_held_step():
    setting = Setting(Every(UPGrad(), 5))
    weights = setting.step(0).weights
    losses, root = with_infinite_slope(setting)
    with pytest.warns(NonFiniteLossWarning, match="task '1' is left out of this step"):
        step = accord.backward(losses, setting.trunk.parameters(), setting.balancer)
    assert step.active.tolist() == [True, False, True]
    torch.testing.assert_close(step.weights, weights * torch.tensor([1.0, 0.0, 1.0]))
    assert root.grad is None
    assert all(gradient is None or gradient.isfinite().all() for gradient in setting.gradients())


def test_a_gradient_that_breaks_where_it_enters_the_trunk_stays_out_of_a_held_step():
    setting = Setting(Every(balancers.Mean(), 5))
    setting.step(0)
    setting.trunk.zero_grad()
    features = setting.trunk(torch.randn(6, 4))
    losses = [(head(features)).pow(2).mean() for head in setting.heads]
    losses[2] = losses[2] + (features - features.detach()).sum().sqrt()  # 0, with a slope of infinity
    with pytest.warns(NonFiniteLossWarning, match="task '2' is left out of this step"):
        step = accord.backward(losses, setting.trunk.parameters(), setting.balancer)
    assert step.active.tolist() == [True, True, False]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in setting.trunk.parameters())


def test_scaled_losses_give_scaled_gradients_and_an_overflow_does_not_count():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaled, plain = Setting(Every(UPGrad(), 4)), Setting(Every(UPGrad(), 4))
    for step in range(3):
        scaled.step(step, scaler=scaler)
        plain.step(step)
    for found, wanted in zip(scaled.gradients(), plain.gradients(), strict=True):
        torch.testing.assert_close(found, wanted * 8)
    losses, _ = with_infinite_slope(scaled)
    step = accord.backward(losses, scaled.trunk.parameters(), scaled.balancer, scaler=scaler)
    assert not step.active.any()
    assert int(scaled.balancer.age) == 3


def test_a_cheaper_gramian_at_the_representation_is_reused_too():
    setting = Setting(Every(UPGrad(), 2), engine="representation")
    weights = setting.step(0).weights
    torch.testing.assert_close(setting.step(1).weights, weights)
    last = Setting(Every(UPGrad(), 2))
    at = list(last.trunk[0].parameters())[:1]
    weights = last.step(0, at=at).weights
    torch.testing.assert_close(last.step(1, at=at).weights, weights)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (lambda: TrimmedMean(), "TrimmedMean combines the rows of the full Jacobian"),
        (lambda: DBMTL(), "DBMTL"),
        (lambda: PerGroup(UPGrad(), ["a"]), "PerGroup decides for each group"),
        (lambda: Fixed([1.0, 1.0, 1.0]), "Every is for aggregators that find weights"),
    ],
)
def test_what_has_no_weights_to_reuse_is_refused_by_name(inner, message):
    with pytest.raises(ConfigurationError, match=message):
        Every(inner(), 2)


def test_fewer_than_one_step_is_refused():
    with pytest.raises(ConfigurationError, match="steps is 0"):
        Every(Krum(), 0)
