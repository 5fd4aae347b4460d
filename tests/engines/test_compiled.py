"""Compiled modules: one backward per task through code that expects a single one."""

import re

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.errors import ConfigurationError


def gradients(module):
    return [p.grad.clone() for p in module.parameters()]


@pytest.fixture
def model():
    torch.compiler.reset()
    yield nn.ModuleList([zoo.mlp_trunk(), zoo.Heads(5)])
    torch.compiler.reset()


@pytest.mark.parametrize("engine", ["loop", "auto", "batched", "gramian"])
def test_compiled_trunk(model, engine):
    trunk, heads = model
    x = torch.randn(6, 4)
    accord.backward(heads.losses(trunk(x)), trunk.parameters(), balancers.Unit())
    wanted = gradients(model)
    model.zero_grad()
    with torch._functorch.config.patch(donated_buffer=False):
        compiled = torch.compile(trunk, backend="aot_eager")
        accord.backward(heads.losses(compiled(x)), trunk.parameters(), balancers.Unit(), engine=engine)
    for found, expected in zip(gradients(model), wanted, strict=True):
        torch.testing.assert_close(found, expected)


def made(where, trunk, heads, x):
    """The losses of a trunk and a head for each task, whose samples are apart; what ``where`` names is compiled."""

    def at(place, function):
        return torch.compile(function, backend="aot_eager") if where == place else function

    def features(x):
        return trunk[1:](at("part of the trunk", trunk[0])(x))

    def network(x):
        parts = at("trunk", features)(x).split(3)
        return [at("heads", head)(part) for head, part in zip(heads, parts, strict=True)]

    def losses(x):
        return [found.square().mean() for found in at("whole", network)(x)]

    return at("losses too", losses)(x)


@pytest.mark.parametrize("where", ["whole", "losses too", "trunk", "part of the trunk"])
@pytest.mark.filterwarnings("ignore")  # the compiler looks at .grad of what is no leaf
def test_what_grouped_says_of_a_compiled_model_helps(where):
    torch.compiler.reset()
    parts = zoo.mlp_trunk(), nn.ModuleList(nn.Linear(5, 1) for _ in "ab"), torch.randn(6, 4)
    shared = list(parts[0].parameters())
    wanted = accord.gramian(made("", *parts), shared, engine="loop")
    with torch._functorch.config.patch(donated_buffer=False):
        words = r"compiled, and no sample can be followed through torch\.compile.*: compile the heads alone, or use"
        with pytest.raises(ConfigurationError, match=words) as refusal:
            accord.gramian(made(where, *parts), shared, engine="grouped")
        (named,) = re.findall(r'use engine="(\w+)" or engine="(\w+)"$', str(refusal.value))
        for engine in named:
            torch.testing.assert_close(accord.gramian(made(where, *parts), shared, engine=engine), wanted)
        torch.testing.assert_close(accord.gramian(made("heads", *parts), shared, engine="grouped"), wanted)
    torch.compiler.reset()


def test_a_weighting_needs_no_setting(model):
    trunk, heads = model
    losses = heads.losses(torch.compile(trunk, backend="aot_eager")(torch.randn(6, 4)))
    accord.backward(losses, trunk.parameters(), balancers.Equal())
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler itself uses what it deprecates
def test_inductor(model):
    trunk, heads = model
    x = torch.randn(6, 4)
    accord.backward(heads.losses(trunk(x)), trunk.parameters(), balancers.Unit())
    wanted = gradients(model)
    model.zero_grad()
    with torch._functorch.config.patch(donated_buffer=False):
        losses = heads.losses(torch.compile(trunk)(x))
        with pytest.raises(ConfigurationError, match=r'no vectorised backward.*engine="loop"'):
            accord.backward(losses, trunk.parameters(), balancers.Unit(), engine="batched", retain_graph=True)
        model.zero_grad()
        accord.backward(losses, trunk.parameters(), balancers.Unit())
    for found, expected in zip(gradients(model), wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_donated_buffers_are_explained():
    """The compiler's own words, raised where its backward runs twice; not every model has buffers to donate."""

    class Compiled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            if torch._C._autograd._get_current_graph_task_keep_graph():
                raise RuntimeError("This backward function was compiled with non-empty donated buffers ...")
            return gradient * 2

    trunk = nn.Linear(4, 5)
    losses = zoo.Heads(5).losses(Compiled.apply(trunk(torch.randn(6, 4))))
    for engine in ("loop", "batched", "gramian"):
        with pytest.raises(ConfigurationError, match="donated_buffer = False"):
            accord.backward(losses, trunk.parameters(), balancers.Unit(), engine=engine, retain_graph=True)
