"""One backward for tasks that own different samples, against one backward per task."""

import pytest
import torch
from tests.engines import balancers, zoo
from torch import nn

import accord
from accord.engines import _convolutions, _layer_rules, grouped
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


class Columns(nn.Module):
    def __init__(self):
        super().__init__()
        self.tables, self.mix = nn.ModuleList(nn.Embedding(5, 3) for _ in range(2)), nn.Linear(6, 8)

    def forward(self, codes):
        columns = torch.cat([table(codes[:, i]) for i, table in enumerate(self.tables)], 1)
        pairs = torch.stack([columns, columns.tanh()], 0).sum(0)
        return self.mix(pairs)


class Prepended(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x):
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.both, self.offset = nn.Linear(8, 16), nn.Parameter(torch.randn(8))

    def forward(self, x):
        value, gate = self.both(x).chunk(2, dim=1)
        return value * gate.sigmoid() - 2 * self.offset


def frozen(trunk):
    """Statistics that are not 0 and 1, and no more of them."""
    for module in trunk.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return trunk.eval()


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
    "frozen batch norm": (
        lambda: frozen(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 8))),
        lambda: torch.randn(7, 2, 5, 5),
    ),
    "frozen batch norm of features": (
        lambda: frozen(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))),
        lambda: torch.randn(7, 8),
    ),
    "dilated and transposed convolutions": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 3, dilation=2, padding=1),
            nn.ConvTranspose1d(4, 2, 2, bias=False),
            nn.Flatten(),
            nn.Linear(16, 8),
        ),
        lambda: torch.randn(7, 2, 9),
    ),
    "convolution that differs by axis": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2)), nn.Flatten(), nn.Linear(40, 8)
        ),
        lambda: torch.randn(7, 2, 5, 5),
    ),
    "channels last": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(36, 8)).to(memory_format=torch.channels_last),
        lambda: torch.randn(7, 2, 5, 5).contiguous(memory_format=torch.channels_last),
    ),
    "bag of means": (lambda: nn.EmbeddingBag(9, 8, mode="mean", padding_idx=0), lambda: torch.randint(0, 9, (7, 4))),
    "bag of sums": (lambda: nn.EmbeddingBag(9, 8, mode="sum"), lambda: torch.randint(0, 9, (7, 4))),
    "bag of maxima": (lambda: nn.EmbeddingBag(9, 8, mode="max"), lambda: torch.randint(0, 9, (7, 4))),
    "columns side by side": (Columns, lambda: torch.randint(0, 5, (7, 2))),
    "token of its own": (
        lambda: nn.Sequential(Prepended(), encoder(batch_first=True), First()),
        lambda: torch.randn(7, 3, 8),
    ),
    "gates cut apart": (Gated, lambda: torch.randn(7, 8)),
    "a slope per channel": (lambda: nn.Sequential(nn.Linear(8, 8), nn.PReLU(8)), lambda: torch.randn(7, 8)),
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
    wanted = accord.gramian(losses, shared, engine="loop")
    torch.testing.assert_close(accord.gramian(losses, shared, engine="grouped"), wanted, rtol=1e-4, atol=1e-6)
    accord.backward(losses, shared, balancers.Unit(), engine="loop", retain_graph=True)
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    accord.backward(losses, shared, balancers.Unit(), engine="grouped")
    for found, gradient in zip((p.grad for p in model.parameters()), expected, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["samples", "keep", "drop"])
@pytest.mark.parametrize("name", ["mlp", "sequence mlp", "convolutions", "convolution that differs by axis"])
def test_every_way_to_a_weights_products_is_exact(name, way, monkeypatch):
    def chosen(*_, by_samples=True, **__):
        return way if by_samples or way != "samples" else "drop"

    for module in (_layer_rules, _convolutions):
        monkeypatch.setattr(module, "cheapest", chosen)
    model, losses = build(name)
    shared = list(model[0].parameters())
    close_to_loop(losses, shared)
    torch.testing.assert_close(
        accord.jacobian(losses, shared, engine="grouped"),
        accord.jacobian(losses, shared, engine="loop"),
        rtol=1e-4,
        atol=1e-6,
    )


def close_to_loop(losses, shared, tolerance=1e-5):
    """Compare Gramian and the direction of a step."""
    shared = list(shared)
    wanted, found = (accord.gramian(losses, shared, engine=engine) for engine in ("loop", "grouped"))
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()
    directions = []
    for engine in ("loop", "grouped"):
        for parameter in shared:
            parameter.grad = None
        accord.backward(losses, shared, balancers.Unit(), engine=engine, retain_graph=True)
        pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in shared]
        directions.append(torch.cat([piece.flatten().double() for piece in pieces]))
    assert (directions[0] - directions[1]).abs().max() <= tolerance * directions[0].abs().max()


SELECTIONS = {
    "slices": lambda x: [x[:2], x[2:5], x[-1:]],
    "strides": lambda x: [x[::3], x[1::3], x[2::3]],
    "indices": lambda x: [x[torch.tensor([3, 0])], x[torch.tensor([-1])], x[[2, 1]]],
    "the same sample twice": lambda x: [x[torch.tensor([3, 3, 0])], x[1:3], x[4:6]],
    "masks": lambda x: [x[torch.arange(6) % 3 == i] for i in range(3)],
    "index_select": lambda x: [x.index_select(0, torch.tensor([i, 5 - i])) for i in range(3)],
    "single samples": lambda x: [x[0], x[-1], x[2]],
    "equal pieces": lambda x: x.split(2),
    "uneven pieces": lambda x: x.split([1, 3, 2]),
    "unbound": lambda x: x.unbind()[:3],
    "weights in the loss": lambda x: [x * torch.eye(6)[i][:, None] for i in range(3)],
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_samples_may_be_selected_in_any_way(selection):
    trunk, heads = zoo.mlp_trunk(4, 5), zoo.Heads(5)
    parts = SELECTIONS[selection](trunk(torch.randn(6, 4)))
    losses = {name: head(part).sin().sum() for (name, head), part in zip(heads.items(), parts, strict=True)}
    close_to_loop(losses, trunk.parameters())


def test_heads_at_two_depths():
    first, second, heads = zoo.mlp_trunk(4, 5), zoo.mlp_trunk(5, 5), zoo.Heads(5)
    middle = first(torch.randn(6, 4))
    deep = second(middle)
    losses = [head(deep[i::3] + middle[i::3]).pow(2).sum() for i, head in enumerate(heads.values())]
    losses[1] = heads["t1"](middle[1::3]).pow(2).sum()  # this one's samples pass the first half only
    close_to_loop(losses, [*first.parameters(), *second.parameters()])


NETWORKS = {
    "mlp": (lambda: nn.Sequential(zoo.mlp_trunk(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)), (8,)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            nn.GroupNorm(2, 4),
            nn.ReLU(),
            Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(1, 4))),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        (2, 6, 6),
    ),
    "transformer": (lambda: nn.Sequential(encoder(batch_first=True), Mean(), nn.Linear(8, 3)), (4, 8)),
}


@pytest.mark.parametrize("unbound", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_vector_of_losses_has_one_objective_per_sample(name, unbound):
    make, shape = NETWORKS[name]
    network, y = make(), torch.tensor([0, 2, 1, 1, 0])
    vector = nn.functional.cross_entropy(network(torch.randn(5, *shape)), y, reduction="none")
    losses = list(vector.unbind()) if unbound else vector
    close_to_loop(losses, network.parameters())
    chooser = accord.engines.Auto()
    accord.backward(losses, network.parameters(), balancers.Unit(), engine=chooser)
    assert [engine.name for engine in chooser.chosen.values()] == ["grouped"]


@pytest.mark.parametrize("loss", ["mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"])
def test_elementwise_losses_may_be_a_vector(loss):
    network = nn.Sequential(zoo.mlp_trunk(4, 8), nn.Linear(8, 1), nn.Flatten(0))
    vector = getattr(nn.functional, loss)(network(torch.randn(5, 4)), torch.rand(5), reduction="none")
    close_to_loop(vector, network.parameters())


def test_what_all_samples_reach_beside_the_shared_receives_the_mean():
    trunk, head = zoo.mlp_trunk(4, 8), nn.Linear(8, 3)
    vector = nn.functional.cross_entropy(head(trunk(torch.randn(5, 4))), torch.arange(5) % 3, reduction="none")
    wanted = torch.autograd.grad(vector.mean(), head.weight, retain_graph=True)[0]
    accord.backward(vector, trunk.parameters(), balancers.Unit(), engine="grouped")
    torch.testing.assert_close(head.weight.grad, wanted)


def test_a_sample_whose_loss_is_not_finite_is_left_out():
    network = zoo.mlp_trunk(4, 3)
    factor = torch.tensor([1.0, torch.inf, 1.0, 1.0])
    vector = nn.functional.cross_entropy(network(torch.randn(4, 4)), torch.tensor([0, 1, 2, 0]), reduction="none")
    with pytest.warns(accord.errors.NonFiniteLossWarning, match="'1'"):
        step = accord.backward(vector * factor, network.parameters(), balancers.Unit(), engine="grouped")
    assert step.active.tolist() == [True, False, True, True]
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert step.gramian[1].abs().max() == 0
    assert step.gramian.diagonal()[[0, 2, 3]].min() > 0


def test_losses_of_columns_are_no_samples():
    network = zoo.mlp_trunk(4, 5)
    per_column = network(torch.randn(5, 4)).pow(2).mean(0)
    with pytest.raises(ConfigurationError, match="mixes the samples"):
        accord.gramian(per_column, network.parameters(), engine="grouped")


def test_half_precision():
    trunk, heads = zoo.mlp_trunk(8, 8).bfloat16(), zoo.Heads(8).bfloat16()
    features = trunk(torch.randn(9, 8).bfloat16())
    losses = {n: head(features[i::3]).pow(2).mean() for i, (n, head) in enumerate(heads.items())}
    close_to_loop(losses, trunk.parameters(), tolerance=2e-2)


def test_gradients_beyond_the_range_of_squares():
    trunk, heads = zoo.mlp_trunk(4, 5), zoo.Heads(5)
    features = trunk(torch.randn(6, 4))
    scales = (1e-15, 1.0, 1e12)
    losses = [
        head(features[i::3]).sin().sum() * s for i, (head, s) in enumerate(zip(heads.values(), scales, strict=True))
    ]
    wanted, found = (accord.gramian(losses, trunk.parameters(), engine=engine) for engine in ("loop", "grouped"))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=0)


def test_one_objective_per_sample():
    trunk, head = zoo.mlp_trunk(4, 8), nn.Linear(8, 1)
    features = trunk(torch.randn(6, 4))
    losses = [(head(features[i]) - 1).pow(2).sum() for i in range(6)]
    wanted = accord.gramian(losses, trunk.parameters(), engine="loop")
    torch.testing.assert_close(
        accord.gramian(losses, trunk.parameters(), engine="grouped"), wanted, rtol=1e-5, atol=1e-6
    )


def test_jacobian_is_available():
    model, losses = build("mlp")
    shared = list(model[0].parameters())
    torch.testing.assert_close(
        accord.jacobian(losses, shared, engine="grouped"), accord.jacobian(losses, shared, engine="loop")
    )


def test_parameters_used_by_trunk_and_heads():
    trunk = zoo.mlp_trunk(5, 5)
    features = trunk(torch.randn(6, 5))
    losses = [nn.functional.linear(features[i::2], trunk[0].weight).pow(2).mean() for i in range(2)]
    wanted = accord.gramian(losses, trunk.parameters(), engine="loop")
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


ACROSS = {
    "less the mean of the batch": lambda x: x - x.mean(0),
    "over the norm of the batch": lambda x: x / x.norm(),
    "attention between samples": lambda x: nn.functional.scaled_dot_product_attention(x, x, x),
}


@pytest.mark.parametrize("name", ACROSS)
def test_a_layer_whose_samples_are_also_reached_past_one_another(name):
    """One gradient carries all tasks to the layer, and each task's own arrives there beside it."""
    trunk, heads = nn.Linear(4, 5), zoo.Heads(5)
    features = ACROSS[name](trunk(torch.randn(6, 4)))
    close_to_loop([head(features[i::3]).sin().sum() for i, head in enumerate(heads.values())], trunk.parameters())


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
