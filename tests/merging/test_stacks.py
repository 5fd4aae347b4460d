"""Passthrough, and stacks of layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from accord.errors import ConfigurationError
from accord.merging import Linear, Passthrough, open_checkpoint, plan_merge, stack_layers


def model(seed, layers=3):
    generator = torch.Generator().manual_seed(seed)
    names = ["embed.weight", *(f"model.layers.{i}.{part}" for i in range(layers) for part in ("a.0.weight", "b"))]
    return {name: torch.randn(3, generator=generator) for name in [*names, "head.weight"]}


def test_one_model_comes_back_bit_for_bit_or_scaled():
    state = {"w": torch.tensor([1.0, -0.0, float("inf"), 2.0])}
    assert torch.equal(Passthrough()(None, [state])["w"], state["w"])
    assert Passthrough(0.5)(None, [{"w": torch.tensor([1.0, 3.0])}])["w"].tolist() == [0.5, 1.5]
    with pytest.raises(ConfigurationError, match="exactly 1"):
        Passthrough()(None, [state, state])


def test_a_stack_by_hand():
    low, high = model(0), model(1, layers=4)
    stack = stack_layers([(low, 0, 2), (high, 1, 4), (low, 2, 3)])
    assert stack.layers == 6 and len(stack) == 2 + 6 * 2
    merged = Passthrough()(None, [stack])
    for place, (source, layer) in enumerate([(low, 0), (low, 1), (high, 1), (high, 2), (high, 3), (low, 2)]):
        assert torch.equal(merged[f"model.layers.{place}.a.0.weight"], source[f"model.layers.{layer}.a.0.weight"])
        assert torch.equal(merged[f"model.layers.{place}.b"], source[f"model.layers.{layer}.b"])
    assert torch.equal(merged["embed.weight"], low["embed.weight"])
    assert torch.equal(stack_layers([(low, 0, 1)], rest=high)["head.weight"], high["head.weight"])


def test_the_whole_stack_is_the_model_and_merges_with_any_method():
    state = model(0)
    stack = stack_layers([(state, 0, 3)])
    assert set(stack) == set(state) and all(torch.equal(stack[name], state[name]) for name in state)
    doubled = [stack_layers([(model(seed), 0, 3), (model(seed), 0, 3)]) for seed in (0, 1)]
    mean = Linear()(None, doubled)["model.layers.4.b"]
    assert torch.allclose(mean, (model(0)["model.layers.1.b"] + model(1)["model.layers.1.b"]) / 2)


def test_a_stacked_module_computes_its_layers_one_after_another():
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    twice = nn.Sequential(*(nn.Linear(4, 4) for _ in range(6)))
    twice.load_state_dict(Passthrough()(None, [stack_layers([(net, 0, 3), (net, 0, 3)], prefix="")]))
    inputs = torch.randn(2, 4)
    assert torch.equal(twice(inputs), net(net(inputs)))


def test_a_stack_on_disk(tmp_path):
    plan_merge(Passthrough(), None, [stack_layers([(model(0), 0, 2), (model(1), 1, 3)])], tmp_path / "out").run()
    stored = open_checkpoint(tmp_path / "out")
    assert torch.equal(stored["model.layers.3.b"], model(1)["model.layers.2.b"])


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([], "at least one"),
        ([(model(0), 1, 9)], r"no slice of a model with the layers \[0, 1, 2\]"),
        ([(model(0), 2, 2)], "no slice"),
        ([({"w": torch.zeros(2)}, 0, 1)], "no tensor has a number"),
    ],
)
def test_slices_that_are_not_there_are_refused(slices, message):
    with pytest.raises(ConfigurationError, match=message):
        stack_layers(slices)
