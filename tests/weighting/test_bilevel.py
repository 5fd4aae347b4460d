"""AutoLambda, MOML, FORUM and WeightNet against their papers' algorithms, written with autograd and generic solvers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain, combinations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from tests.weighting.test_look_ahead import STEP, Toy
from torch import Tensor, nn, tensor

import accord
from accord.errors import ConfigurationError
from accord.weighting import FORUM, MOML, AutoLambda, LooksAhead, WeightNet

ONES = torch.ones(3, dtype=torch.float64)


def train_with(weighting: LooksAhead, toy: Toy, steps: int, check: Callable[[], None] = lambda: None) -> None:
    """Update and step ``steps`` times; ``check`` runs after each update."""
    assert isinstance(weighting, accord.weighting.Weighting)
    for _ in range(steps):
        weighting.update(toy.parameters, train=toy.train, validation=toy.held_out, step=STEP)
        check()
        accord.backward(toy.train(), shared=toy.parameters, balancer=weighting)
        with torch.no_grad():
            for parameter in toy.parameters:
                assert parameter.grad is not None
                parameter.sub_(STEP * parameter.grad)
                parameter.grad = None


def shortest(rows: np.ndarray) -> np.ndarray:
    """Return the shortest point of the convex hull of ``rows``: of those whose coefficients are positive, on any face.

    To the last digits, for Adam makes whole steps of what is left where the answer is 0.
    """
    count, found = len(rows), []
    for chosen in chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1)):
        face = rows[list(chosen)]
        system = np.block([[face @ face.T, np.ones((len(face), 1))], [np.ones((1, len(face))), np.zeros((1, 1))]])
        shares = np.linalg.lstsq(system, np.append(np.zeros(len(face)), 1.0), rcond=None)[0][:-1]
        if (shares >= 0).all():
            found.append(shares @ face)
    return min(found, key=np.linalg.norm)


@pytest.mark.parametrize(("hypergradient", "tolerance"), [("exact", 1e-6), ("differences", 1e-3)])
def test_auto_lambda_descends_the_primary_tasks_loss_behind_the_step(hypergradient: str, tolerance: float) -> None:
    toy = Toy()
    weighting = AutoLambda(lr=1e-2, primary=[0, 2], hypergradient=hypergradient)  # pyright: ignore[reportArgumentType]
    scales = torch.full((3,), 0.1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([scales], lr=1e-2)

    def check() -> None:
        adam.zero_grad()
        toy.after(scales / 0.3)[[0, 2]].sum().backward()
        adam.step()
        toy.model.zero_grad()
        assert weighting(ONES).tolist() == pytest.approx((scales.detach() / 0.3).tolist(), rel=tolerance)

    train_with(weighting, toy, 6, check)


def test_auto_lambda_drops_what_leads_astray_and_keeps_what_helps() -> None:
    place = nn.Parameter(torch.zeros(2))
    goal = tensor([1.0, 0.5])

    def losses() -> Tensor:
        return torch.stack(
            [(place - goal).square().sum(), (place - 0.9 * goal).square().sum(), (place + goal).square().sum()]
        )

    weighting = AutoLambda(lr=2e-2, primary=[0])
    for _ in range(60):
        weighting.update([place], train=losses, validation=losses, step=0.01)
    weights = weighting(torch.ones(3))
    assert weights[2] == 0 and weights[1] > 1 / 3


def test_moml_descends_every_loss_behind_the_step() -> None:
    toy, weighting = Toy(1), MOML(lr=0.05)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.05)

    def check() -> None:
        slopes = torch.autograd.functional.jacobian(lambda a: toy.after(torch.softmax(a, 0)), logits.detach())
        assert isinstance(slopes, Tensor)
        units = (slopes / slopes.norm(dim=1, keepdim=True)).numpy()
        common = shortest(units)
        assert (units @ common >= -1e-6).all()
        logits.grad = torch.from_numpy(common)
        adam.step()
        assert weighting.logits.tolist() == pytest.approx(logits.tolist(), abs=1e-4)

    train_with(weighting, toy, 5, check)


def test_moml_does_not_ask_a_loss_that_no_weight_moves() -> None:
    place, other = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))

    def train() -> list[Tensor]:
        return [place.square().sum(), (place[0] - 3).square()]

    asked, alone = MOML(lr=0.1), MOML(lr=0.1)
    for weighting, judged in (
        (asked, lambda: [place.sum(), other.square().sum()]),
        (alone, lambda: [place.sum()]),
    ):
        weighting.update([place, other], train=train, validation=judged, step=0.1)
    assert asked.logits[0] > 0 > asked.logits[1]  # the second task pulls up what is to go down
    assert torch.equal(asked.logits, alone.logits)


def test_weight_net_learns_through_the_step() -> None:
    toy, weighting = Toy(2), WeightNet(hidden=7, lr=0.05, exact=True, seed=3)
    first, offsets, outputs = (part.clone() for part in weighting.network.split(7))
    net = nn.Sequential(nn.Linear(1, 7), nn.ReLU(), nn.Linear(7, 1, bias=False)).double()
    with torch.no_grad():
        for parameter, part in zip(net.parameters(), (first[:, None], offsets, outputs[None]), strict=True):
            parameter.copy_(part)
    adam = torch.optim.Adam(net.parameters(), lr=0.05)

    def rule(losses: Tensor) -> Tensor:
        return torch.softmax(net(losses.detach()[:, None]).squeeze(1), dim=0)

    def check() -> None:
        adam.zero_grad()
        toy.after(rule(toy.train())).mean().backward()
        adam.step()
        toy.model.zero_grad()
        assert weighting(toy.train()).tolist() == pytest.approx(rule(toy.train()).tolist(), rel=1e-7)

    train_with(weighting, toy, 6, check)
    assert max(abs(weight - 1 / 3) for weight in weighting(toy.train()).tolist()) > 1e-3


def test_weight_net_takes_any_number_of_samples_and_other_clues() -> None:
    toy, weighting = Toy(2), WeightNet(hidden=4, lr=0.1)

    def per_sample() -> Tensor:
        return (toy.model(toy.batches[0]) - toy.targets[0]).square().mean(dim=1)

    for _ in range(3):
        weighting.update(toy.parameters, train=per_sample, validation=toy.held_out, step=STEP)
    assert weighting(per_sample()).shape == (6,) and weighting(torch.ones(2)).shape == (2,)
    weighting.inform(tensor([5.0, 5.0, -1.0]))
    assert weighting(tensor([1.0, 2.0, 3.0]))[0] == weighting(tensor([1.0, 2.0, 3.0]))[1]
    with pytest.raises(ConfigurationError, match="3 clues but weighs 2"):
        weighting(torch.ones(2))
    weighting.inform(None)
    assert weighting(torch.ones(2)).tolist() == [0.5, 0.5]


def test_weight_net_learns_one_rule_however_many_losses_there_are() -> None:
    toy, absent, fewer = Toy(2), WeightNet(hidden=6, lr=0.1, seed=1), WeightNet(hidden=6, lr=0.1, seed=1)
    for _ in range(4):
        for weighting, between in ((absent, [None]), (fewer, [])):
            weighting.update(
                toy.parameters,
                train=lambda between=between: [toy.train()[0], *between, toy.train()[2]],
                validation=toy.held_out,
                step=STEP,
            )
    assert torch.allclose(absent.network, fewer.network, rtol=1e-9)
    assert not torch.equal(absent.network, WeightNet(hidden=6, seed=1).network)
    assert not torch.equal(WeightNet(seed=1).network, WeightNet(seed=2).network)


def test_clues_are_part_of_the_state() -> None:
    first, second, losses = WeightNet(hidden=6), WeightNet(hidden=6), torch.ones(3, dtype=torch.float64)
    first.network = torch.linspace(-1, 1, 18, dtype=torch.float64)
    first.inform(tensor([5.0, 1.0, -1.0]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(losses), second(losses)) and first(losses)[0] != first(losses)[2]


def test_forum_is_its_paper_by_a_generic_solver() -> None:
    toy, phi, lr = Toy(3), 0.4, 0.05
    weighting = FORUM(phi=phi, lr=lr, inner=2)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam, multipliers, updates = torch.optim.Adam([logits], lr=lr), np.full(3, 1 / 3), 0

    def check() -> None:
        nonlocal multipliers, updates
        parameters = toy.parameters
        kept = [parameter.detach().clone() for parameter in parameters]
        weights = torch.softmax(logits.detach(), 0)
        start = toy.train().detach()
        lower = torch.cat([g.flatten() for g in torch.autograd.grad(weights @ toy.train(), parameters)])
        upper = torch.stack(
            [
                torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])
                for loss in toy.held_out()
            ]
        )
        for _ in range(2):
            slopes = torch.autograd.grad(weights @ toy.train(), parameters)
            with torch.no_grad():
                for parameter, slope in zip(parameters, slopes, strict=True):
                    parameter.sub_(STEP * slope)
        end = toy.train().detach()
        with torch.no_grad():
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before)
        (in_logits,) = torch.autograd.grad(torch.softmax(logits, 0) @ (start - end), logits)
        units = torch.cat([torch.zeros(3, 3), upper / upper.norm(dim=1, keepdim=True)], dim=1).numpy()
        guard = torch.cat([in_logits, lower]).numpy()
        square = guard @ guard
        found = minimize(
            lambda w: (
                ((w[:3] @ units + w[3] / math.sqrt(square) * guard) ** 2).sum() / 2 - phi * math.sqrt(square) * w[3]
            ),
            [1 / 3] * 3 + [0.0],
            bounds=[(0, None)] * 4,
            options={"ftol": 1e-16, "maxiter": 1000},
            constraints=[{"type": "eq", "fun": lambda w: w[:3].sum() - 1}],
            method="SLSQP",
        ).x
        updates += 1
        multipliers = multipliers + updates**-0.75 * (found[:3] - multipliers)
        multiplier = max(0.0, phi * multipliers.sum() - multipliers @ units @ guard / square)
        adam.zero_grad()
        logits.grad = multiplier * in_logits
        adam.step()
        wanted = np.concatenate([multipliers / upper.norm(dim=1).numpy(), multiplier * weights.numpy()])
        assert weighting(torch.ones(6, dtype=torch.float64)).numpy() == pytest.approx(wanted / wanted.sum(), abs=1e-4)
        one = wanted[:3] + wanted[3:]
        assert weighting(ONES).numpy() == pytest.approx(one / one.sum(), abs=1e-4)
        assert weighting.logits.tolist() == pytest.approx(logits.tolist(), abs=1e-4)

    train_with(weighting, toy, 4, check)


METHODS: list[Callable[[], LooksAhead]] = [
    AutoLambda,
    lambda: AutoLambda(hypergradient="exact"),
    MOML,
    FORUM,
    lambda: WeightNet(hidden=5),
    lambda: WeightNet(hidden=5, exact=True),
]


@pytest.mark.parametrize("make", METHODS)
def test_memory_resumes_and_an_absent_task_stays_as_it_is(make: Callable[[], LooksAhead]) -> None:
    toy, first, second = Toy(4), make(), make()
    assert isinstance(first, accord.weighting.Weighting) and isinstance(second, accord.weighting.Weighting)

    def partly() -> list[Tensor | None]:
        one, _, three = toy.train()
        return [one, None, three]

    for _ in range(2):
        first.update(toy.parameters, train=toy.train, validation=toy.held_out, step=STEP)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(toy.train()), second(toy.train()))
    name = next(name for name in ("scales", "logits", "network") if hasattr(first, name))
    before = getattr(first, name).clone()
    for weighting in (first, second):
        weighting.update(toy.parameters, train=partly, validation=toy.held_out, step=STEP)
    now = getattr(first, name)
    assert torch.equal(now, getattr(second, name)) and not torch.equal(now, before)
    if name != "network":
        assert now[1] == before[1]
    assert torch.equal(first(toy.train()), second(toy.train()))


def test_forum_keeps_the_multiplier_of_a_validation_loss_that_is_absent() -> None:
    toy, weighting = Toy(4), FORUM()

    def partly() -> list[Tensor | None]:
        one, _, three = toy.held_out()
        return [one, None, three]

    weighting.update(toy.parameters, train=toy.train, validation=toy.held_out, step=STEP)
    weighting.multipliers[:] = tensor([0.2, 0.5, 0.3])
    weighting.update(toy.parameters, train=toy.train, validation=partly, step=STEP)
    assert weighting.multipliers[1] == 0.5
    one, _, three = weighting.multipliers.tolist()
    assert [one, three] != [0.2, 0.3]
    # The two that are there have moved towards shares of 1 together.
    assert one + three == pytest.approx(0.5 + 2**-0.75 * (1 - 0.5))
    assert weighting.levels[0, 1] == 0 and weighting(ONES).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("make", METHODS)
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_losses_of_any_size_leave_finite_weights(make: Callable[[], LooksAhead], scale: float) -> None:
    toy, weighting = Toy(5), make()
    assert isinstance(weighting, accord.weighting.Weighting)
    for _ in range(2):
        weighting.update(
            toy.parameters,
            train=lambda: scale * toy.train(),
            validation=lambda: scale * toy.held_out(),
            step=STEP / scale,
        )
    weights = weighting(scale * toy.train())
    assert weights.isfinite().all() and weights.min() >= 0 and weights.sum() > 0


@pytest.mark.filterwarnings("ignore::accord.errors.NonFiniteLossWarning")
@pytest.mark.parametrize("make", METHODS)
def test_losses_that_end_beyond_a_step_spoil_nothing(make: Callable[[], LooksAhead]) -> None:
    """The third loss is a number only where the parameters are, as a logarithm may be at the edge of its domain."""
    toy, weighting = Toy(6), make()
    assert isinstance(weighting, accord.weighting.Weighting)
    here = [parameter.detach().clone() for parameter in toy.parameters]

    def edge(losses: Tensor) -> list[Tensor]:
        moved = any(not torch.equal(now, then) for now, then in zip(toy.parameters, here, strict=True))
        return [*losses[:2], losses[2] * (math.nan if moved else 1.0)]

    before = weighting(ONES)
    for _ in range(2):
        weighting.update(
            toy.parameters, train=lambda: edge(toy.train()), validation=lambda: edge(toy.held_out()), step=STEP
        )
    assert all(state.isfinite().all() for state in weighting.state_dict().values())
    assert weighting(toy.train()).isfinite().all()
    assert not torch.equal(weighting(toy.train())[:2], before[:2]), "the other two have a say still"


def test_forum_goes_by_the_ratios_of_its_multipliers() -> None:
    # They do not sum to 1 where a validation loss was absent, and the step is as long as it was.
    toy, found = Toy(7), []
    for factor in (0.5, 1.0, 3.0):
        weighting = FORUM(phi=0.4)
        weighting.update(toy.parameters, train=toy.train, validation=toy.held_out, step=STEP)
        weighting.updates[:] = 1e30  # from which on multipliers stay where they are
        weighting.multipliers[:] = factor * tensor([0.2, 0.5, 0.3])
        weighting.update(toy.parameters, train=toy.train, validation=toy.held_out, step=STEP)
        found.append(weighting(torch.ones(6, dtype=torch.float64)).tolist())
    assert found[0] == pytest.approx(found[1]) and found[2] == pytest.approx(found[1])
    assert min(found[1]) > 0, "without a multiplier of the lower level this tests nothing"


def test_options_are_checked() -> None:
    cases: list[tuple[Callable[..., object], dict[str, object], str]] = [
        (AutoLambda, {"lr": 0.0}, "lr"),
        (AutoLambda, {"start": -1.0}, "start"),
        (AutoLambda, {"primary": []}, "primary"),
        (AutoLambda, {"hypergradient": "exakt"}, "exact"),
        (MOML, {"lr": math.inf}, "lr"),
        (FORUM, {"phi": 0.0}, "phi"),
        (FORUM, {"lr": 0.0}, "lr"),
        (FORUM, {"inner": 0}, "inner"),
        (WeightNet, {"hidden": 0}, "hidden"),
        (WeightNet, {"lr": -1.0}, "lr"),
    ]
    for method, options, match in cases:
        with pytest.raises(ConfigurationError, match=match):
            method(**options)
    toy = Toy()
    with pytest.raises(ConfigurationError, match="names task 3"):
        AutoLambda(primary=[3]).update(toy.parameters, train=toy.train, validation=toy.held_out, step=STEP)
