"""Which engine is chosen, that it can be seen, and that the choice changes nothing but time."""

from collections.abc import Callable

import pytest
import torch
from tests.engines import balancers
from torch import nn
from torch.utils.checkpoint import checkpoint

import accord
from accord.aggregation import TrimmedMean, UPGrad
from accord.engines import Auto
from accord.engines._apart import apart
from accord.engines._pages import zeros


class Steps:
    """A small model; each task sees its own rows of the batch, or all of them."""

    def __init__(self, *, apart: bool, norm: bool = False, hook: bool = False, select: str = "slice") -> None:
        torch.manual_seed(1)
        self.trunk = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6) if norm else nn.Identity(), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(6, 2) for _ in range(3))
        self.apart, self.hook, self.select = apart, hook, select

    def losses(self, step: int) -> list[torch.Tensor]:
        features = self.trunk(torch.randn(9, 4, generator=torch.Generator().manual_seed(step)))
        if self.hook:
            features.register_hook(lambda gradient: gradient * torch.tensor([3.0, 1, 1, 1, 1, 1]))
        owner = torch.arange(9) % 3
        parts = {
            "slice": [features[i::3] for i in range(3)],
            "mask": [features[owner == i] for i in range(3)],
            "index": [features.index_select(0, (owner == i).nonzero()[:, 0]) for i in range(3)],
            "split": list(features.split(3)),
            "overlap": [features[i : i + 4] for i in range(3)],
        }[self.select]
        shown = parts if self.apart else [features] * 3
        return [(head(part) - i).pow(2).mean() for i, (head, part) in enumerate(zip(self.heads, shown, strict=True))]

    def gradients(self, engine, balancer, step: int = 0) -> list[torch.Tensor]:
        self.trunk.zero_grad()
        self.heads.zero_grad()
        accord.backward(self.losses(step), self.trunk.parameters(), balancer, engine=engine)
        return [p.grad for p in (*self.trunk.parameters(), *self.heads.parameters())]


def used(engine: Auto) -> set[str]:
    return {chosen.name for chosen in engine.chosen.values()}


@pytest.mark.parametrize("select", ["slice", "mask", "index", "split"])
def test_samples_of_one_task_each_are_grouped(select):
    steps, engine = Steps(apart=True, select=select), Auto()
    found = steps.gradients(engine, UPGrad())
    assert used(engine) == {"grouped"}
    assert "chosen: grouped" in repr(engine)
    torch.testing.assert_close(found, steps.gradients("loop", UPGrad()))


@pytest.mark.parametrize(
    ("options", "wanted"), [({"select": "slice"}, True), ({"select": "overlap"}, False), ({"apart": False}, False)]
)
def test_the_graph_tells_whether_samples_are_apart(options, wanted):
    seen = []

    class Watching(Auto):
        def fitting(self, problem):
            seen.append(apart(problem))
            return super().fitting(problem)

    Steps(**({"apart": True} | options)).gradients(Watching(), UPGrad())
    assert seen == [wanted]


@pytest.mark.parametrize(
    ("options", "engine", "balancer", "name"),
    [
        ({"apart": False}, {}, UPGrad, "loop"),
        ({"apart": True, "select": "overlap"}, {}, UPGrad, "loop"),
        ({"apart": True, "norm": True}, {}, UPGrad, "loop"),  # batch normalisation mixes samples: passed over
        ({"apart": True}, {}, TrimmedMean, "loop"),  # needs the Jacobian
        ({"apart": False}, {"memory": 100}, UPGrad, "gramian"),
        ({"apart": False}, {"memory": 100}, TrimmedMean, "loop"),
    ],
    ids=["shared", "overlap", "mixed", "jacobian", "memory", "jacobian-memory"],
)
def test_the_first_that_fits_is_chosen_and_is_exact(options, engine, balancer, name):
    steps, auto = Steps(**options), Auto(**engine)
    found = steps.gradients(auto, balancer())
    assert used(auto) == {name}
    torch.testing.assert_close(found, Steps(**options).gradients("loop", balancer()))


def wide_step(engine, *, tasks=16, rows=2, width=64, rule=None, share=1, wrap=lambda trunk: trunk):
    """Take a step of ``tasks`` on linear layers; ``share`` of them are not such."""
    torch.manual_seed(0)
    layers = [nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width)]
    if share < 1:
        layers.append(nn.Unflatten(1, (1, 8, width // 8)))
        layers += [nn.Conv2d(1, 24, 8), nn.Conv2d(24, 24, 1), nn.Flatten()]
    trunk = nn.Sequential(*layers)
    if rule:
        trunk[0].weight.register_hook(rule)
    features = wrap(trunk)(torch.randn(rows, width))
    losses = [features[:, task].sin().mean() for task in range(tasks)]
    accord.backward(losses, trunk.parameters(), UPGrad(), engine=engine)
    return [parameter.grad for parameter in trunk.parameters()]


def checkpointed(trunk: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: checkpoint(trunk, x.requires_grad_(), use_reentrant=False)


def watched(trunk: nn.Module) -> nn.Module:
    trunk[2].register_full_backward_hook(lambda module, inputs, outputs: None)
    return trunk


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "gramian"),
        ({"tasks": 15}, "loop"),
        ({"rows": 40}, "loop"),  # what flows between layers is no smaller than their weights
        ({"share": 0.5}, "loop"),
        ({"rule": lambda gradient: gradient * 2}, "loop"),
        ({"wrap": checkpointed}, "loop"),
        ({"wrap": watched}, "loop"),
    ],
    ids=["linear", "few-tasks", "flow", "convolution", "parameter-hook", "checkpoint", "module-hook"],
)
def test_large_jacobians_of_linear_layers_are_never_written_down(options, name):
    size = options.get("tasks", 16) * 2 * 64 * 65 * 4
    auto = Auto(memory=2 * size)
    found = wide_step(auto, **options)
    assert used(auto) == {name}
    torch.testing.assert_close(found, wide_step("loop", **options))
    small = Auto(memory=8 * size)
    wide_step(small, **options)
    assert used(small) == {"loop"}


def test_the_jacobian_is_always_available():
    steps = Steps(apart=True)
    losses = steps.losses(0)
    found = accord.jacobian(losses, steps.trunk.parameters(), engine=Auto(memory=0))
    torch.testing.assert_close(found, accord.jacobian(losses, steps.trunk.parameters(), engine="loop"))


@pytest.mark.parametrize("apart", [True, False])
def test_trying_ends_with_one_engine_and_every_step_on_the_way_is_exact(apart):
    steps, auto = Steps(apart=apart), Auto(measure=True)
    seen = []
    for step in range(9):
        found = steps.gradients(auto, balancers.Unit(), step)
        (chosen,) = auto.chosen.values()
        seen.append(chosen.name)
        torch.testing.assert_close(found, steps.gradients("loop", balancers.Unit(), step), rtol=1e-4, atol=1e-6)
    assert (
        seen[:6] == (["grouped"] * 2 if apart else []) + ["gramian"] * 2 + ["loop"] * (2 if apart else 4) or not apart
    )
    assert set(seen[:6]) == ({"grouped", "gramian", "loop"} if apart else set(seen[:6]))
    assert len(set(seen[6:])) == 1


def test_an_engine_that_passes_over_hooks_is_tried_once_and_never_used():
    steps, auto = Steps(apart=False, hook=True), Auto(measure=True)
    for step in range(5):
        found = steps.gradients(auto, balancers.Unit(), step)
        torch.testing.assert_close(found, steps.gradients("loop", balancers.Unit(), step))
        assert used(auto) == {"loop"}


def test_other_kinds_of_steps_are_tried_for_themselves():
    auto = Auto(measure=True)
    for own in (True, False):
        steps = Steps(apart=own)
        for step in range(2):
            steps.gradients(auto, UPGrad(), step)
    assert len(auto.chosen) == 2


def test_choosing_by_structure_repeats_to_the_last_bit():
    first, second = (Steps(apart=False).gradients("auto", UPGrad()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("width", [0, 5, 2**22 + 3])
def test_memory_for_rows_is_zero_writable_and_outlives_its_views(dtype, width):
    whole = zeros(3, width, dtype, torch.device("cpu"))
    assert whole.shape == (3, width)
    assert whole.dtype == dtype
    assert whole.is_contiguous()
    assert not whole.any()
    part = whole[1:, 2:5]
    part += 1
    del whole
    assert (part == 1).all()
    assert not zeros(3, width, dtype, torch.device("cpu")).any()


def test_measuring_copes_with_sparse_gradients_in_a_head():
    table, trunk = nn.Embedding(9, 3, sparse=True), nn.Linear(4, 3)
    features = trunk(torch.randn(2, 4))
    losses = [features.square().mean(), (features + table(torch.tensor([1, 5]))).square().mean()]
    auto = Auto(measure=True)
    accord.backward(losses, trunk.parameters(), UPGrad(), engine=auto)
    assert table.weight.grad is not None and table.weight.grad.is_sparse
    assert {engine.name for engine in auto.chosen.values()} == {"gramian"}
