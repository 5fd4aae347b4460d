"""One backward for tasks that own different samples, against one backward per task."""

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.engines import grouped
from accord.errors import ConfigurationError

DOMAIN = torch.tensor([0, 1, 0, 2, 1, 0, 4])  # uneven, interleaved; nobody owns sample 6, task 3 has no sample


class Positions(nn.Module):
    """Tokens plus learned positions and a per-channel scale: parameters used by plain arithmetic."""

    def __init__(self):
        super().__init__()
        self.table, self.position = nn.Embedding(9, 8, padding_idx=0), nn.Parameter(torch.randn(4, 8))
        self.scale = nn.Parameter(torch.randn(8))

    def forward(self, tokens):
        return (self.table(tokens) + self.position) * self.scale.exp()


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


class First(nn.Module):
    def forward(self, x):
        return x[:, 0]


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x) * 0.5


def encoder(**options):
    return nn.TransformerEncoderLayer(8, 2, 12, dropout=options.pop("dropout", 0.0), **options)


TRUNKS = {
    "mlp": (lambda: zoo.mlp_trunk(8, 8), lambda: torch.randn(7, 8)),
    "mlp with norm": (lambda: nn.Sequential(zoo.mlp_trunk(8, 8), nn.LayerNorm(8)), lambda: torch.randn(7, 8)),
    "residual mlp": (
        lambda: nn.Sequential(*(Residual(zoo.mlp_trunk(8, 8)) for _ in range(2))),
        lambda: torch.randn(7, 8),
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 8)), lambda: torch.randn(7, 8)),
    "rms norm": (lambda: nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8)), lambda: torch.randn(7, 8)),
    "tied": (
        lambda: (lambda layer: nn.Sequential(layer, nn.Tanh(), layer))(nn.Linear(8, 8)),
        lambda: torch.randn(7, 8),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1),
            nn.GroupNorm(2, 4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, groups=2, bias=False),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(4, 8),
        ),
        lambda: torch.randn(7, 2, 9, 9),
    ),
    "sequence mlp": (lambda: nn.Sequential(zoo.mlp_trunk(8, 8), Mean()), lambda: torch.randn(7, 3, 8)),
    "tokens": (lambda: nn.Sequential(Positions(), nn.Linear(8, 8), First()), lambda: torch.randint(0, 9, (7, 4))),
    "transformer": (lambda: nn.Sequential(encoder(batch_first=True), Mean()), lambda: torch.randn(7, 4, 8)),
    "transformer with dropout": (
        lambda: nn.Sequential(encoder(batch_first=True, norm_first=True, dropout=0.2), First()),
        lambda: torch.randn(7, 4, 8),
    ),
    "whole language model": (
        lambda: nn.Sequential(
            Positions(), encoder(batch_first=True), encoder(batch_first=True), nn.LayerNorm(8), Mean()
        ),
        lambda: torch.randint(0, 9, (7, 4)),
    ),
}


def build(name, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        make, draw = TRUNKS[name]
        trunk, heads = make(), zoo.Heads(8, 3)
        features = trunk(draw())
        losses = {n: (head(features[i == DOMAIN]) - i).pow(2).mean() for i, (n, head) in enumerate(heads.items())}
        losses["absent"] = None
        return nn.ModuleList([trunk, heads]), losses


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", TRUNKS)
def test_gramian_and_step_are_those_of_the_loop(name, keep, monkeypatch):
    if not keep:
        monkeypatch.setattr(grouped, "_BUDGET", 0)
    model, losses = build(name)
    shared = list(model[0].parameters())
    wanted = accord.gramian(losses, shared)
    torch.testing.assert_close(accord.gramian(losses, shared, engine="grouped"), wanted, rtol=1e-4, atol=1e-6)
    accord.backward(losses, shared, balancers.Unit(), retain_graph=True)
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    accord.backward(losses, shared, balancers.Unit(), engine="grouped")
    for found, gradient in zip((p.grad for p in model.parameters()), expected, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)


def test_one_objective_per_sample():
    trunk, head = zoo.mlp_trunk(4, 8), nn.Linear(8, 1)
    features = trunk(torch.randn(6, 4))
    losses = [(head(features[i]) - 1).pow(2).sum() for i in range(6)]
    wanted = accord.gramian(losses, trunk.parameters())
    torch.testing.assert_close(
        accord.gramian(losses, trunk.parameters(), engine="grouped"), wanted, rtol=1e-5, atol=1e-6
    )


def test_jacobian_is_available():
    model, losses = build("mlp")
    shared = list(model[0].parameters())
    torch.testing.assert_close(accord.jacobian(losses, shared, engine="grouped"), accord.jacobian(losses, shared))


def test_parameters_used_by_trunk_and_heads():
    trunk = zoo.mlp_trunk(5, 5)
    features = trunk(torch.randn(6, 5))
    losses = [nn.functional.linear(features[i::2], trunk[0].weight).pow(2).mean() for i in range(2)]
    wanted = accord.gramian(losses, trunk.parameters())
    torch.testing.assert_close(
        accord.gramian(losses, trunk.parameters(), engine="grouped"), wanted, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: nn.BatchNorm1d(5), "NativeBatchNormBackward0 mixes the samples"),
        (lambda: nn.Softmax(dim=0), "SoftmaxBackward0 mixes the samples"),
        (lambda: nn.GRU(5, 5), "Backward0 mixes the samples"),
    ],
)
def test_operations_that_mix_samples_are_refused_by_name(layer, message):
    trunk, heads = zoo.mlp_trunk(4, 5), zoo.Heads(5)
    features = layer()(trunk(torch.randn(6, 4)))
    features = features[0] if isinstance(features, tuple) else features
    losses = {n: head(features[i::3]).pow(2).mean() for i, (n, head) in enumerate(heads.items())}
    with pytest.raises(ConfigurationError, match=message):
        accord.gramian(losses, trunk.parameters(), engine="grouped")


def test_samples_of_two_tasks_are_refused_by_name():
    trunk, heads = zoo.mlp_trunk(4, 5), zoo.Heads(5)
    features = trunk(torch.randn(6, 4))
    losses = {n: head(features[i : i + 3]).pow(2).mean() for i, (n, head) in enumerate(heads.items())}
    with pytest.raises(ConfigurationError, match="sample 1 of the batch belongs to the tasks 't0' and 't1'"):
        accord.gramian(losses, trunk.parameters(), engine="grouped")


def test_a_bad_task_stays_apart():
    model, losses = build("mlp with norm")
    weight = model[1]["t1"].weight
    extra = (model[0][0][0].weight[0, 0] * 0).sqrt() * (weight.sum() * 0)
    shared = list(model[0].parameters())
    with pytest.warns(accord.errors.NonFiniteLossWarning, match="'t1'"):
        step = accord.backward({**losses, "t1": losses["t1"] + extra}, shared, balancers.Unit(), engine="grouped")
    assert step.active.tolist() == [True, False, True, False]
    assert all(p.grad.isfinite().all() for p in shared)
