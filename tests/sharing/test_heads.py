import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accord.errors import ConfigurationError
from accord.sharing import Heads, ModuleHeads


@settings(max_examples=30)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.lists(st.integers(1, 4), max_size=2), st.integers(0, 4))
def test_batched_towers_are_each_their_own_network(widths, tower, rows):
    heads = Heads(4, widths, tower=tower).double()
    hidden = torch.randn(rows, len(widths), 4, dtype=torch.float64)
    outputs = heads(hidden)
    assert [tuple(output.shape) for output in outputs] == [(rows, width) for width in widths]
    for task, layers in enumerate(heads.towers):
        x = hidden[:, task]
        for layer in layers[:-1]:
            x = torch.relu(layer(x))
        torch.testing.assert_close(outputs[task], layers[-1](x))


def test_each_task_owns_its_tower():
    heads = Heads(4, [1, 3, 1], tower=(6,), act="tanh")
    outputs = heads(torch.randn(5, 3, 4))
    outputs[1].sum().backward()
    for task in range(3):
        touched = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in heads.task_parameters(task)]
        assert all(touched) if task == 1 else not any(touched)
    assert sum(len(heads.task_parameters(task)) for task in range(3)) == len(list(heads.parameters()))


def test_biases_are_where_outputs_start():
    biases = [torch.tensor([-2.0]), torch.tensor([1.0, 0.0, -1.0])]
    heads = Heads(4, [1, 3], tower=(), biases=biases)
    outputs = heads(torch.zeros(1, 2, 4))
    assert all(torch.equal(output[0], bias) for output, bias in zip(outputs, biases, strict=True))
    with pytest.raises(ValueError):
        Heads(4, [1, 3], biases=biases[:1])


def test_any_modules_as_heads():
    heads = ModuleHeads({"a.b": nn.Linear(4, 2), "value": nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))})
    outputs = heads(torch.randn(3, 2, 4))
    assert [tuple(output.shape) for output in outputs] == [(3, 2), (3, 1)]
    assert len(heads.task_parameters(1)) == 2 and heads.tasks == 2
    with pytest.raises(ConfigurationError, match="no heads"):
        ModuleHeads({})


def test_wrong_options():
    with pytest.raises(ConfigurationError, match="widths is 0"):
        Heads(4, [0])
    with pytest.raises(ConfigurationError, match="tower is -1"):
        Heads(4, [1], tower=(-1,))
