"""Small models of many kinds; each builds its losses and says which parameters are shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 6


@dataclass
class Case:
    """Losses of one forward, the shared parameters, and the module that owns all parameters."""

    losses: dict[str, Tensor]
    shared: list[nn.Parameter]
    module: nn.Module


Builder = Callable[[], Case]
ZOO: dict[str, Builder] = {}


def entry(build: Builder) -> Builder:
    ZOO[build.__name__] = build
    return build


class Heads(nn.ModuleDict):
    """One linear head per task, regression to a different target each."""

    def __init__(self, width: int, tasks: int = 3, out: int = 2) -> None:
        super().__init__({f"t{i}": nn.Linear(width, out) for i in range(tasks)})

    def losses(self, features: Tensor) -> dict[str, Tensor]:
        return {name: (head(features) - i).pow(2).mean() for i, (name, head) in enumerate(self.items())}


def simple(trunk: nn.Module, features: Tensor, width: int, tasks: int = 3) -> Case:
    heads = Heads(width, tasks)
    return Case(heads.losses(features), list(trunk.parameters()), nn.ModuleList([trunk, heads]))


def mlp_trunk(inputs: int = 4, width: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.ReLU())


@entry
def mlp() -> Case:
    trunk = mlp_trunk()
    return simple(trunk, trunk(torch.randn(BATCH, 4)), 5)


@entry
def wide_mlp_small_batch() -> Case:
    trunk = nn.Sequential(nn.Linear(20, 24), nn.GELU(), nn.Linear(24, 24, bias=False), nn.SiLU())
    return simple(trunk, trunk(torch.randn(3, 20)), 24)


@entry
def mlp_on_sequences() -> Case:
    trunk = mlp_trunk()
    return simple(trunk, trunk(torch.randn(2, 3, 4)), 5)


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=2)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.norm2(self.second(functional.relu(self.norm1(self.first(x))))))


def cnn_trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), ResidualBlock(4), nn.AdaptiveAvgPool2d(2), nn.Flatten())


@entry
def residual_cnn() -> Case:
    trunk = cnn_trunk()
    return simple(trunk, trunk(torch.randn(BATCH, 3, 9, 9)), 16)


@entry
def residual_cnn_channels_last() -> Case:
    trunk = cnn_trunk().to(memory_format=torch.channels_last)
    return simple(trunk, trunk(torch.randn(BATCH, 3, 9, 9).contiguous(memory_format=torch.channels_last)), 16)


@entry
def batch_norm_in_evaluation() -> Case:
    trunk = cnn_trunk().eval()
    return simple(trunk, trunk(torch.randn(BATCH, 3, 9, 9)), 16)


@entry
def dilated_convolutions() -> Case:
    trunk = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=2, dilation=2, padding_mode="circular"),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=4, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 2),
        nn.Flatten(),
    )
    x = torch.randn(3, 2, 7, 7)
    return simple(trunk, trunk(x), trunk(x).shape[1])


@entry
def convolution_1d() -> Case:
    trunk = nn.Sequential(nn.Conv1d(2, 4, 3), nn.InstanceNorm1d(4, affine=True), nn.ReLU(), nn.Flatten())
    return simple(trunk, trunk(torch.randn(BATCH, 2, 6)), 16)


@entry
def transformer() -> Case:
    trunk = nn.TransformerEncoderLayer(8, 2, dim_feedforward=12, dropout=0.1, batch_first=True, norm_first=True)
    return simple(trunk, trunk(torch.randn(3, 4, 8)).mean(1), 8)


@entry
def attention_with_mask() -> Case:
    trunk = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 4, 8)
    features, _ = trunk(x, x, x, attn_mask=torch.ones(4, 4).triu(1).bool(), need_weights=False)
    return simple(trunk, features.mean(1), 8)


@entry
def language_model() -> Case:
    """Embedding tied to the output projection, positions, RMS norm; one loss per third of the positions."""
    embed, position = nn.Embedding(11, 8), nn.Parameter(torch.randn(6, 8) * 0.1)
    block, norm = nn.Linear(8, 8), nn.RMSNorm(8)
    module = nn.ModuleDict({"embed": embed, "block": block, "norm": norm})
    module.register_parameter("position", position)
    tokens = torch.randint(0, 11, (3, 6))
    logits = functional.linear(norm(embed(tokens) + position + torch.tanh(block(embed(tokens)))), embed.weight)
    parts = logits.chunk(3, dim=1), tokens.chunk(3, dim=1)
    losses = {
        f"t{i}": functional.cross_entropy(a.flatten(0, 1), b.flatten())
        for i, (a, b) in enumerate(zip(*parts, strict=True))
    }
    return Case(losses, list(module.parameters()), module)


@entry
def gru() -> Case:
    trunk = nn.GRU(3, 4, num_layers=2, batch_first=True)
    return simple(trunk, trunk(torch.randn(3, 5, 3))[0][:, -1], 4)


@entry
def lstm_bidirectional() -> Case:
    trunk = nn.LSTM(3, 4, bidirectional=True, batch_first=True)
    return simple(trunk, trunk(torch.randn(3, 5, 3))[0].mean(1), 8)


@entry
def embedding_bag() -> Case:
    bag = nn.EmbeddingBag(9, 4, mode="mean")
    trunk = nn.ModuleList([bag, nn.Linear(4, 5)])
    return simple(trunk, torch.tanh(trunk[1](bag(torch.randint(0, 9, (BATCH, 3))))), 5)


@entry
def embeddings_of_columns() -> Case:
    tables = nn.ModuleList([nn.Embedding(n, 3, padding_idx=0) for n in (4, 7)])
    mix = nn.Linear(6, 5)
    codes = torch.stack([torch.randint(0, 4, (BATCH,)), torch.randint(0, 7, (BATCH,))], 1)
    features = torch.cat([table(codes[:, i]) for i, table in enumerate(tables)], 1)
    return simple(nn.ModuleList([tables, mix]), torch.tanh(mix(features)), 5)


@entry
def mixture_of_experts() -> Case:
    experts = nn.ModuleList(mlp_trunk() for _ in range(3))
    gates = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))
    x, heads = torch.randn(BATCH, 4), Heads(5)
    outputs = torch.stack([expert(x) for expert in experts], 1)
    losses = {
        name: (head((gate(x).softmax(1)[:, :, None] * outputs).sum(1)) - 1).pow(2).mean()
        for (name, head), gate in zip(heads.items(), gates, strict=True)
    }
    return Case(losses, list(experts.parameters()), nn.ModuleList([experts, gates, heads]))


@entry
def own_experts_listed_as_shared() -> Case:
    """Progressive extraction: some of the parameters named shared are reached by one task only."""
    common, own = mlp_trunk(), nn.ModuleList(mlp_trunk() for _ in range(2))
    x, heads = torch.randn(BATCH, 4), Heads(5, 2)
    losses = {
        name: head(common(x) + expert(x)).pow(2).mean() for (name, head), expert in zip(heads.items(), own, strict=True)
    }
    return Case(losses, [*common.parameters(), *own.parameters()], nn.ModuleList([common, own, heads]))


@entry
def dropout() -> Case:
    trunk = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 5))
    return simple(trunk, trunk(torch.randn(BATCH, 4)), 5)


@entry
def weight_tying() -> Case:
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    trunk = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), first)
    return simple(trunk, trunk(torch.randn(BATCH, 5)), 5)


@entry
def tied_to_heads() -> Case:
    """A shared weight that trunk and heads both use."""
    trunk = mlp_trunk(5, 5)
    features, weight = trunk(torch.randn(BATCH, 5)), trunk[0].weight
    losses = {f"t{i}": (functional.linear(features, weight) - i).pow(2).mean() for i in range(3)}
    return Case(losses, list(trunk.parameters()), trunk)


@entry
def branches_at_several_depths() -> Case:
    first, second = mlp_trunk(4, 5), mlp_trunk(5, 5)
    middle = first(torch.randn(BATCH, 4))
    last = second(middle)
    heads = Heads(5, 4)
    source = [middle, last, middle + last, middle * last]
    losses = {name: (head(f) - 1).pow(2).mean() for (name, head), f in zip(heads.items(), source, strict=True)}
    return Case(losses, [*first.parameters(), *second.parameters()], nn.ModuleList([first, second, heads]))


@entry
def skip_from_input_and_trunk() -> Case:
    trunk, heads = mlp_trunk(4, 4), Heads(12)
    x = torch.randn(BATCH, 4)
    inner = trunk[1](trunk[0](x))
    losses = heads.losses(torch.cat([x, inner, trunk[3](trunk[2](inner))], 1))
    return Case(losses, list(trunk.parameters()), nn.ModuleList([trunk, heads]))


@entry
def frozen_parts() -> Case:
    trunk = nn.Sequential(mlp_trunk(), mlp_trunk(5, 5))
    trunk[0].requires_grad_(False)
    trunk[1][0].bias.requires_grad_(False)
    return simple(trunk, trunk(torch.randn(BATCH, 4)), 5)


@entry
def unused_parameters() -> Case:
    trunk = nn.ModuleList([mlp_trunk(), nn.Linear(3, 3)])
    return simple(trunk, trunk[0](torch.randn(BATCH, 4)), 5)


@entry
def vector_of_losses() -> Case:
    """All tasks come out of one expression, so the graph has no heads."""
    trunk = nn.Sequential(mlp_trunk(), nn.Linear(5, 3))
    losses = (trunk(torch.randn(BATCH, 4)) - 1).pow(2).mean(0)
    return Case({f"t{i}": loss for i, loss in enumerate(losses.unbind())}, list(trunk.parameters()), trunk)


@entry
def same_loss_twice() -> Case:
    trunk = mlp_trunk()
    loss = trunk(torch.randn(BATCH, 4)).pow(2).mean()
    other = trunk(torch.randn(BATCH, 4)).mean()
    return Case({"a": loss, "b": loss, "c": other}, list(trunk.parameters()), trunk)


@entry
def head_shared_by_two_tasks() -> Case:
    """A parameter that two tasks reach and that is not listed as shared."""
    trunk, head = mlp_trunk(), nn.Linear(5, 1)
    features = trunk(torch.randn(BATCH, 4))
    losses = {"a": head(features).pow(2).mean(), "b": (head(features) - 2).abs().mean(), "c": features.pow(2).sum()}
    return Case(losses, list(trunk.parameters()), nn.ModuleList([trunk, head]))


@entry
def siamese() -> Case:
    trunk = mlp_trunk()
    left, right = trunk(torch.randn(BATCH, 4)), trunk(torch.randn(BATCH, 4))
    heads = Heads(5)
    return Case(heads.losses(left * right), list(trunk.parameters()), nn.ModuleList([trunk, heads]))


@entry
def one_domain_per_task() -> Case:
    """Every sample belongs to one task; tasks of different size, rows interleaved."""
    trunk, heads = nn.Sequential(mlp_trunk(), nn.LayerNorm(5)), Heads(5)
    features, domain = trunk(torch.randn(BATCH, 4)), torch.tensor([0, 1, 0, 2, 1, 0])
    losses = {name: (head(features[domain == i]) - i).pow(2).mean() for i, (name, head) in enumerate(heads.items())}
    return Case(losses, list(trunk.parameters()), nn.ModuleList([trunk, heads]))


@entry
def one_objective_per_sample() -> Case:
    trunk = nn.Sequential(mlp_trunk(), nn.Linear(5, 1))
    losses = (trunk(torch.randn(BATCH, 4)) - 1).pow(2).squeeze(1)
    return Case({f"s{i}": loss for i, loss in enumerate(losses.unbind())}, list(trunk.parameters()), trunk)


@entry
def scalars_and_outer_products() -> Case:
    """Parameters used by plain arithmetic rather than by layers."""
    module = nn.Module()
    module.scale, module.matrix = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.randn(4, 4))
    module.shift = nn.Parameter(torch.randn(4))
    x = torch.randn(BATCH, 4)
    features = torch.einsum("bi,ij,bj->bj", x, module.matrix, x) * module.scale + module.shift.exp()
    return simple(module, features, 4)


@entry
def half_precision() -> Case:
    trunk = mlp_trunk().to(torch.bfloat16)
    return simple(trunk, trunk(torch.randn(BATCH, 4, dtype=torch.bfloat16)).float(), 5)


@entry
def mixed_precision_parameters() -> Case:
    trunk = nn.ModuleList([nn.Linear(4, 5).to(torch.bfloat16), nn.LayerNorm(5)])
    return simple(trunk, trunk[1](trunk[0](torch.randn(BATCH, 4, dtype=torch.bfloat16)).float()), 5)


@entry
def one_task() -> Case:
    trunk = mlp_trunk()
    return simple(trunk, trunk(torch.randn(BATCH, 4)), 5, tasks=1)


@entry
def sixty_four_tasks() -> Case:
    trunk = mlp_trunk()
    return simple(trunk, trunk(torch.randn(BATCH, 4)), 5, tasks=64)


def build(name: str, seed: int = 0) -> Case:
    """Return the case ``name`` with parameters and inputs drawn from ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ZOO[name]()
