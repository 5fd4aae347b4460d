"""The sketched Gramian: its mean is the Gramian, its error is as stated, and its draws are as told."""

import math

import pytest
import torch
from torch import nn

import accord
from accord.engines import Sketch
from accord.errors import ConfigurationError

MODELS = {
    "linear": (lambda: nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 8, bias=False), nn.Tanh()), (7, 12)),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(3, 2, 2, dilation=2, bias=False),
            nn.Flatten(),
        ),
        (3, 2, 9, 9),
    ),
}


def losses(kind: str, tasks: int = 3) -> tuple[list[torch.Tensor], list[nn.Parameter]]:
    build, shape = MODELS[kind]
    torch.manual_seed(3)
    trunk = build()
    features = trunk(torch.randn(shape))
    heads = [nn.Linear(features.shape[1], 2) for _ in range(tasks)]
    found = [(head(features) - i).pow(2).mean() for i, head in enumerate(heads)]
    return found, list(trunk.parameters())


def draws(kind: str, size: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the exact Gramian and ``count`` sketches of it by one engine."""
    found, shared = losses(kind)
    engine = Sketch(size)
    exact = accord.gramian(found, shared, engine="loop")
    return exact, torch.stack([accord.gramian(found, shared, engine=engine) for _ in range(count)])


@pytest.mark.parametrize("kind", MODELS)
def test_the_mean_over_draws_is_the_gramian_and_the_spread_is_within_the_bound(kind):
    size, count = 4, 120
    exact, found = draws(kind, size, count)
    spread = found.std(0)
    assert (spread > 1e-3 * exact.diagonal().min()).all()
    assert ((found.mean(0) - exact).abs() <= 4.5 * spread / math.sqrt(count)).all()
    norms = exact.diagonal().sqrt()
    assert (spread <= math.sqrt(2 / (size - size // 2)) * norms[:, None] * norms).all()
    assert torch.linalg.eigvalsh(found).min() >= -1e-6 * exact.diagonal().max()


def test_the_error_falls_with_the_root_of_the_size():
    torch.manual_seed(0)
    trunk = nn.Linear(256, 6, bias=False)
    features = trunk(torch.randn(400, 256))
    found = [(nn.Linear(6, 1)(features) - i).pow(2).mean() for i in range(3)]
    exact = accord.gramian(found, trunk.parameters(), engine="loop")

    def error(size: int) -> float:
        engine = Sketch(size)
        parts = [accord.gramian(found, trunk.parameters(), engine=engine) - exact for _ in range(60)]
        return float(torch.stack(parts).pow(2).mean().sqrt())

    coarse, fine = error(4), error(36)
    assert 2.0 < coarse / fine < 6.0  # three, but for luck and for the directions that are kept


@pytest.mark.parametrize(("kind", "widest"), [("linear", 12), ("convolution", 18)])
def test_a_size_of_all_that_a_layer_reads_is_exact(kind, widest):
    exact, found = draws(kind, widest, 1)
    torch.testing.assert_close(found[0], exact, rtol=1e-5, atol=1e-6)


def test_draws_depend_on_seed_step_and_layer_alone():
    found, shared = losses("linear")
    one, same, other = Sketch(4, seed=5), Sketch(4, seed=5), Sketch(4, seed=6)
    first, second = (accord.gramian(found, shared, engine=one) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, accord.gramian(found, shared, engine=same))
    assert not torch.equal(first, accord.gramian(found, shared, engine=other))
    by_name = accord.gramian(found, shared, engine="sketch")
    assert torch.equal(by_name, accord.gramian(found, shared, engine="sketch"))
    fewer = accord.gramian([found[0], None, found[2]], shared, engine=Sketch(4, seed=5))
    torch.testing.assert_close(fewer[[0, 2]][:, [0, 2]], first[[0, 2]][:, [0, 2]])


@pytest.mark.parametrize("layer", [nn.Linear(12, 3), nn.Conv1d(2, 3, 3), nn.Embedding(20, 3)])
def test_a_layer_that_tasks_use_on_different_inputs_is_exact(layer):
    torch.manual_seed(0)
    shape = {nn.Linear: (7, 12), nn.Conv1d: (4, 2, 9)}.get(type(layer))
    inputs = [torch.randn(shape) if shape else torch.randint(0, 20, (5 + i,)) for i in range(2)]
    found = [(layer(x) - i).pow(2).mean() for i, x in enumerate(inputs)]
    exact = accord.gramian(found, layer.parameters(), engine="loop")
    sketched = accord.gramian(found, layer.parameters(), engine=Sketch(4))
    torch.testing.assert_close(sketched, exact, rtol=1e-5, atol=1e-6 * float(exact.max()))


def test_global_random_numbers_are_left_alone():
    found, shared = losses("convolution")
    before = torch.get_rng_state()
    accord.gramian(found, shared, engine=Sketch(4))
    assert torch.equal(before, torch.get_rng_state())


def test_a_layer_whose_inputs_are_not_finite_is_reported_like_by_any_engine():
    torch.manual_seed(0)
    trunk = nn.Linear(9, 3)
    inputs = torch.randn(5, 9)
    inputs[0, 0] = torch.inf
    features = trunk(inputs)
    found = [features[1:].pow(2).mean(), features[1:].mean()]
    with pytest.warns(accord.errors.NonFiniteLossWarning, match="its gradient is not finite"):
        accord.gramian(found, trunk.parameters(), engine=Sketch(2))


WIDE = {
    "linear": (
        lambda: nn.Sequential(
            *(nn.Linear(48, 192), nn.Tanh(), nn.Linear(192, 384), nn.Tanh(), nn.Linear(384, 256), nn.Tanh())
        ),
        (64, 48),
    ),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(4, 32, 3), nn.Tanh(), nn.Conv2d(32, 48, 3, stride=2), nn.Tanh(), nn.Flatten()),
        (8, 4, 19, 19),
    ),
}


@pytest.mark.parametrize("kind", WIDE)
def test_bfloat16_on_the_way_down_costs_a_fraction_of_a_hundredth(kind):
    build, shape = WIDE[kind]
    torch.manual_seed(0)
    trunk = build()
    features = trunk(torch.randn(shape))
    # One task whose gradients are far out of float16's range.
    found = [nn.Linear(features.shape[1], 2)(features).pow(2).mean() * scale for scale in (1.0, 3.0, 1e-12)]
    whole, short = (
        accord.gramian(found, trunk.parameters(), engine=Sketch(8, dtype=dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    lengths = whole.diagonal().sqrt()
    difference = ((short - whole) / lengths / lengths[:, None]).abs()
    assert 0 < difference.max() < 0.01


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),  # another architecture
    ],
)
def test_bfloat16_is_chosen_where_processors_multiply_it(known, chosen, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    build, shape = WIDE["linear"]
    torch.manual_seed(0)
    trunk = build()
    found = [trunk(torch.randn(shape)).pow(2).mean()]
    left, said = (accord.gramian(found, trunk.parameters(), engine=Sketch(8, dtype=dtype)) for dtype in (None, chosen))
    assert torch.equal(left, said)


def test_bfloat16_is_for_large_float32_products_alone():
    found, shared = losses("linear")
    one, other = (Sketch(4, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert torch.equal(accord.gramian(found, shared, engine=one), accord.gramian(found, shared, engine=other))
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(8, 256), nn.Linear(256, 256)).double()
    features = trunk(torch.randn(64, 8, dtype=torch.float64))
    found = [features[:, i].pow(2).mean() for i in range(2)]
    exact = accord.gramian(found, trunk.parameters(), engine="loop")
    sketched = accord.gramian(found, trunk.parameters(), engine=Sketch(256, dtype=torch.bfloat16))
    torch.testing.assert_close(sketched, exact, rtol=1e-9, atol=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 1}, "size is 1"), ({"seed": -1}, "seed is -1"), ({"dtype": torch.float16}, "dtype is torch.float16")],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Sketch(**options)
