"""Preference models: one contract for all, and what each of them makes of a preference."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch import Tensor, nn, tensor

from accord.engines import backward
from accord.errors import ConfigurationError
from accord.pareto import (
    COSMOS,
    EPO,
    PaLoRA,
    PaMaL,
    ParetoHyperNetwork,
    PreferenceModel,
    SoupFront,
    TchebycheffScalarisation,
    draw_preferences,
    evaluate_front,
    simplex_grid,
)
from accord.pareto.pa_mal import disorder


class Twin(nn.Module):
    """A trunk and two heads with a buffer, a tied pair of matrices, and a parameter that is no matrix."""

    scale: Tensor

    def __init__(self, features: int = 3) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(features, 4), nn.Tanh())
        self.mix, self.again = nn.Linear(4, 4), nn.Linear(4, 4)
        self.again.weight = self.mix.weight
        self.heads = nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])
        self.register_buffer("scale", tensor(0.5))

    def forward(self, inputs: Tensor) -> list[Tensor]:
        hidden = self.again(torch.tanh(self.mix(self.trunk(inputs)))) * self.scale
        return [head(hidden) for head in self.heads]


def spread(model: PreferenceModel) -> PreferenceModel:
    """Move every parameter, so that what starts at 0 plays a part."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


BUILD: dict[str, Callable[[], PreferenceModel]] = {
    "phn": lambda: ParetoHyperNetwork(Twin(), 2, hidden=(8,)),
    "cosmos": lambda: COSMOS(Twin(5), 2),
    "pamal": lambda: PaMaL([Twin(), Twin()]),
    "palora": lambda: PaLoRA(Twin(), 2),
    "soup": lambda: SoupFront([Twin(), Twin()]),
}
models = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)
INPUTS = torch.linspace(-1, 1, 21).view(7, 3)


@models
def test_one_pass_for_many_preferences_is_the_passes_for_each(build: Callable[[], PreferenceModel]) -> None:
    model, preferences = spread(build()), simplex_grid(2, 4)
    together = model(INPUTS, preferences)
    for index, preference in enumerate(preferences):
        alone, plain = model(INPUTS, preference), model.solution(preference)(INPUTS)
        for task in range(2):
            torch.testing.assert_close(together[task][index], alone[task])
            torch.testing.assert_close(plain[task], alone[task])
    assert not torch.allclose(together[0][0], together[0][-1]), "the preference makes no difference"


@models
def test_solutions_stand_alone_and_models_save(build: Callable[[], PreferenceModel], tmp_path: Path) -> None:
    model, preference = spread(build()), tensor([0.25, 0.75])
    plain = model.solution(preference)
    before = plain(INPUTS)[0].clone()
    save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()}, tmp_path / "m.st")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(plain(INPUTS)[0], before)
    model.load_state_dict(load_file(tmp_path / "m.st"))
    torch.testing.assert_close(model(INPUTS, preference)[0], before)
    if not isinstance(model, COSMOS):
        assert isinstance(plain, Twin) and plain.again.weight is plain.mix.weight
        fresh = Twin()
        fresh.load_state_dict(plain.state_dict())
        torch.testing.assert_close(fresh(INPUTS)[1], plain(INPUTS)[1])


@models
def test_every_parameter_learns(build: Callable[[], PreferenceModel]) -> None:
    model = spread(build())
    preferences = model.sample(torch.Generator().manual_seed(0), progress=0.5)
    outputs = [[out.square().mean() for out in model(INPUTS, one)] for one in preferences]
    # Both losses look at both heads, for a member that is trained for one of them alone.
    losses = torch.stack([torch.stack([first + second, first + 2 * second]) for first, second in outputs])
    model.objective(losses, preferences).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) and p.grad.any() for p in model.parameters())
    assert preferences.shape == (len(losses), 2) and bool((preferences >= 0).all())
    torch.testing.assert_close(preferences.sum(dim=1), torch.ones(len(losses)))


@models
def test_draws_are_the_generators_own(build: Callable[[], PreferenceModel]) -> None:
    model, state = build(), torch.get_rng_state()
    first, again, other = (model.sample(torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again) and torch.equal(torch.get_rng_state(), state)
    assert isinstance(model, PaLoRA | SoupFront) or not torch.equal(first, other)


class Level(nn.Module):
    """A number, whatever the input: with losses x^2 and (x - 1)^2 the front is x in [0, 1]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.line = nn.Linear(features, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.line(inputs).mean()


def criterion(level: Tensor) -> Tensor:
    return torch.stack([level.square(), (level - 1).square()])


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        # Under a weighted sum, x = w_2; on Tchebycheff's ray w_1 x^2 = w_2 (1 - x)^2.
        (lambda: ParetoHyperNetwork(Level(1), 2, hidden=(16,), concentration=1.0), lambda w: w[1]),
        (
            lambda: ParetoHyperNetwork(Level(1), 2, (16,), 1.0, TchebycheffScalarisation(), window=4),
            lambda w: w[1].sqrt() / (w[0].sqrt() + w[1].sqrt()),
        ),
        (lambda: PaMaL([Level(1), Level(1)], penalty=1.0), lambda w: w[1]),
        (lambda: PaLoRA(Level(1), 2), lambda w: w[1]),
        (lambda: COSMOS(Level(3), 2, penalty=0.0), lambda w: w[1]),
        (lambda: SoupFront([Level(1), Level(1)]), lambda w: w[1]),
    ],
)
def test_training_finds_the_front(build: Callable[[], PreferenceModel], wanted: Callable[[Tensor], Tensor]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
    generator, inputs = torch.Generator().manual_seed(0), torch.ones(2, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(300):
        preferences = model.sample(generator, progress=min(1.0, step / 100) / 5)
        losses = torch.stack([criterion(model(inputs, one)) for one in preferences])
        optimiser.zero_grad()
        model.objective(losses, preferences).backward()
        optimiser.step()
    grid = simplex_grid(2, 8)[1:-1]
    levels = torch.stack([model(inputs, one) for one in grid]).double()
    assert (levels - torch.stack([wanted(one) for one in grid])).abs().max() < 0.12
    front = evaluate_front(model, grid, lambda solution: criterion(solution(inputs)))
    torch.testing.assert_close(front, torch.stack([levels**2, (levels - 1) ** 2], dim=1), atol=1e-5, rtol=1e-4)


def test_phn_epo_takes_a_step_towards_the_ray() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, preference = ParetoHyperNetwork(Level(1), 2, hidden=(16,)), tensor([0.8, 0.2])
    inputs, optimiser = torch.ones(2, 1), torch.optim.SGD(model.parameters(), lr=0.04)
    for _ in range(150):
        losses = criterion(model(inputs, preference))
        optimiser.zero_grad()
        backward(losses, shared=list(model.parameters()), balancer=EPO(preference))
        optimiser.step()
    weighted = preference * criterion(model(inputs, preference)).detach()
    assert float(weighted.max() / weighted.min()) < 1.2  # 0.8 x^2 = 0.2 (1 - x)^2 at x = 1/3


def test_hypernetworks_start_as_the_target_and_leave_it_alone() -> None:
    net = Twin()
    model = ParetoHyperNetwork(net, 2)
    with torch.no_grad():
        model.head.weight.zero_()
    torch.testing.assert_close(model(INPUTS, tensor([0.5, 0.5])), net(INPUTS))
    ours = {id(parameter) for parameter in model.parameters()}
    assert not ours & {id(parameter) for parameter in net.parameters()}
    assert set(model.state_dict()) == {
        "net.scale", "trunk.0.weight", "trunk.0.bias", "trunk.2.weight", "trunk.2.bias", "trunk.4.weight",
        "trunk.4.bias", "head.weight", "head.bias",
    }  # fmt: skip


def test_members_at_the_corners_and_their_mean_between() -> None:
    members = [Twin(), Twin()]
    model = PaMaL(members)
    torch.testing.assert_close(model(INPUTS, tensor([1.0, 0.0])), members[0](INPUTS))
    torch.testing.assert_close(model(INPUTS, tensor([0.0, 1.0])), members[1](INPUTS))
    middle = model.solution(tensor([0.25, 0.75]))
    assert isinstance(middle, Twin)
    torch.testing.assert_close(middle.mix.weight, 0.25 * members[0].mix.weight + 0.75 * members[1].mix.weight)


def test_a_soup_trains_its_members_apart_and_says_how_far_mixtures_fall_short() -> None:
    members = [Twin(), Twin()]
    model = SoupFront(members)
    preferences = model.sample(torch.Generator())
    assert torch.equal(preferences, torch.eye(2))
    losses = torch.stack([torch.stack([out.square().mean() for out in model(INPUTS, one)]) for one in preferences])
    model.objective(losses, preferences).backward()
    for task, member in enumerate(members):
        alone = {name: parameter.grad.clone() for name, parameter in member.named_parameters()}
        member.zero_grad()
        (member(INPUTS)[task].square().mean() / 2).backward()
        for name, parameter in member.named_parameters():
            torch.testing.assert_close(
                alone[name], torch.zeros_like(alone[name]) if parameter.grad is None else parameter.grad
            )
    at = tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    found = tensor([[0.0, 4.0], [3.0, 1.0], [2.0, 0.0]])
    assert model.spread(at, found)[1].tolist() == [2.0, -1.0]
    with pytest.raises(ConfigurationError, match="every corner"):
        model.spread(at[1:], found[1:])
    with pytest.raises(ConfigurationError, match="share parameters"):
        SoupFront([members[0], members[0]])


def test_disorder_by_hand() -> None:
    preferences = tensor([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])
    # Task 1 in ascending order of its preference: 3, 1, 2 rises by 1 once. Task 2: 5, 4, 3 is as it should be.
    losses = tensor([[3.0, 3.0], [1.0, 4.0], [2.0, 5.0]])
    assert disorder(losses, preferences).tolist() == pytest.approx([math.log((1 + math.e) / 2), 0.0])
    model = PaMaL([Level(1), Level(1)], window=3, penalty=6.0)
    plain = float((preferences * losses).sum(dim=1).mean())
    assert float(model.objective(losses, preferences)) == pytest.approx(plain + 2 * math.log((1 + math.e) / 2))
    assert float(PaMaL([Level(1), Level(1)]).objective(losses, preferences)) == pytest.approx(plain)


def test_adapters_start_at_nothing_and_add_one_rank_each() -> None:
    net = Twin()
    model = PaLoRA(net, 2)
    torch.testing.assert_close(model(INPUTS, tensor([0.3, 0.7])), net(INPUTS))
    spread(model)
    change = model.weights(tensor([1.0, 0.0]))["mix.weight"] - net.mix.weight
    assert torch.linalg.matrix_rank(change.detach(), rtol=1e-4) == 1
    halves = model.weights(tensor([0.5, 0.5]))["mix.weight"] - net.mix.weight
    other = model.weights(tensor([0.0, 1.0]))["mix.weight"] - net.mix.weight
    torch.testing.assert_close(halves, (change + other) / 2)
    assert torch.equal(model.weights(tensor([1.0, 0.0]))["trunk.0.bias"], net.trunk[0].bias)
    rates = {id(p): group["lr"] for group in model.groups(0.1) for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    assert rates[id(net.mix.weight)] == 0.1 and rates[id(model.up[0])] == 0.2


def test_kernels_are_adapted_too() -> None:
    model = spread(PaLoRA(nn.Conv2d(2, 3, 5, padding=2), 2, rank=2))
    images = torch.ones(1, 2, 6, 6)
    assert model(images, simplex_grid(2, 3).float()).shape == (4, 1, 3, 6, 6)


def test_annealing_goes_from_the_middle_to_the_corners() -> None:
    model, generator = PaLoRA(Level(1), 2, window=5), torch.Generator().manual_seed(0)
    assert torch.equal(model.sample(generator, progress=0.0), torch.full((5, 2), 0.5))
    # To the first power at a fifth of the way: evenly spaced from 0.01 to 0.99.
    assert model.sample(generator, progress=0.2)[:, 0].tolist() == pytest.approx([0.01, 0.255, 0.5, 0.745, 0.99])
    last = model.sample(generator, progress=1.0)[:, 0]
    assert last[1] == pytest.approx(0.255**5 / (0.255**5 + 0.745**5), rel=1e-4)
    three = PaLoRA(Level(1), 3, window=4).sample(generator, progress=0.2)
    assert three.shape == (4, 3) and len({tuple(row) for row in three.tolist()}) == 4


def test_cosmos_by_hand() -> None:
    losses, preference = tensor([3.0, 1.0]), tensor([0.25, 0.75])
    # On the ray of equal products, the cosine is 1; turned round, it is 6 / 10.
    assert float(COSMOS(Level(3), 2).objective(losses, preference)) == pytest.approx(1.5 - 2.0)
    assert float(COSMOS(Level(3), 2).objective(losses.flip(0), preference)) == pytest.approx(2.5 - 2.0 * 0.6)
    images = COSMOS(nn.Conv2d(1 + 2, 4, 3), 2, image=(9, 7))
    assert images(torch.ones(5, 1, 9, 7), simplex_grid(2, 2).float()).shape == (3, 5, 4, 7, 5)


@given(some.integers(1, 5), some.integers(1, 6))
def test_grids_are_complete(objectives: int, divisions: int) -> None:
    grid = simplex_grid(objectives, divisions)
    assert len({tuple(row) for row in (grid * divisions).round().int().tolist()}) == len(grid)
    assert len(grid) == math.comb(divisions + objectives - 1, objectives - 1)
    assert bool((grid >= 0).all()) and torch.allclose(grid.sum(dim=1), torch.ones(len(grid), dtype=torch.float64))


@pytest.mark.parametrize("concentration", [0.2, 1.0, 5.0])
def test_draws_have_the_moments_of_a_dirichlet_distribution(concentration: float) -> None:
    drawn = draw_preferences(20_000, 3, torch.Generator().manual_seed(0), concentration)
    assert drawn.mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    wanted = (1 / 3) * (2 / 3) / (3 * concentration + 1)
    assert drawn.var(dim=0).tolist() == pytest.approx([wanted] * 3, rel=0.05)


def test_running_statistics_take_one_preference_at_a_time() -> None:
    model = PaMaL([nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2)])
    with pytest.raises(ConfigurationError, match="once for each"):
        model(INPUTS, simplex_grid(2, 2))
    model(INPUTS, tensor([0.5, 0.5]))
    assert model.eval()(INPUTS, simplex_grid(2, 2)).shape == (3, 7, 4)


def test_bad_input_is_named() -> None:
    level = Level(1)
    for wrong, says in (
        (lambda: PaMaL([level, level]), "share parameters"),
        (lambda: PaMaL([Level(1), Level(2)]), "different names or shapes"),
        (lambda: PaMaL([Level(1), Level(1)], window=1, penalty=1.0), "window of 2"),
        (lambda: PaMaL([Level(1)]), "at least 2 tasks; got 1"),
        (lambda: PaLoRA(nn.PReLU(), 2), "has none"),
        (lambda: PaLoRA(Level(1), 2, window=1), "window 2 or more"),
        (lambda: COSMOS(Level(1), 2, penalty=-1), "penalty must be"),
        (lambda: PaLoRA(Level(1), 2)(INPUTS, torch.ones(3)), r"\[2\] or \[W, 2\] here; got \[3\]"),
        (lambda: draw_preferences(1, 3, torch.Generator(), [1.0, 2.0]), "or 3 of them"),
        (lambda: simplex_grid(2, 0), "1 division"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            wrong()
