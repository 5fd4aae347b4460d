"""Merging weighted by what the models' data says: Fisher information, and Gramians of inputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.torch import save_file
from tests.merging.learned.family import family
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError, DataError
from accord.merging import Fisher, RegMean, Statistics, fisher_information, input_gramians


def linear(rows: list[list[float]]) -> nn.Module:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = tensor(rows)
    return layer


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_fisher_by_hand() -> None:
    # One input x = (1, 2), logits 0: p = (1/2, 1/2); (d log p_y / d W_c) = (1[y = c] - 1/2) x, squared x^2 / 4.
    found = fisher_information(linear([[0.0, 0.0], [0.0, 0.0]]), [tensor([[1.0, 2.0]])])
    assert found["weight"].tolist() == [[0.25, 1.0], [0.25, 1.0]] and found.samples == 1
    # Labels as given: log p_0 at p = (e / (1 + e), ...).
    layer, known = linear([[1.0], [0.0]]), math.e / (1 + math.e)
    found = fisher_information(layer, [(tensor([[1.0]]), tensor([0]))], labels="given")
    assert found["weight"].flatten().tolist() == pytest.approx([(1 - known) ** 2, (1 - known) ** 2])


def test_fisher_of_a_network_is_the_mean_of_squared_gradients() -> None:
    model, batches = family().experts["left"], [x for x, _ in family().batches["left"]]
    found = fisher_information(model, batches[:2], chunk=7)
    wanted = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    rows = torch.cat(batches[:2])
    for row in rows:
        logs = model(row[None])[0].log_softmax(-1)
        for label in range(3):
            slopes = torch.autograd.grad(logs[label], list(model.parameters()), retain_graph=True)
            for total, slope in zip(wanted.values(), slopes, strict=True):
                total += logs[label].exp().detach() * slope.square()
    assert found.samples == len(rows)
    for name, value in found.items():
        assert torch.allclose(value, wanted[name] / len(rows), rtol=1e-4, atol=1e-9)
    assert all(parameter.grad is None for parameter in model.parameters()) and model.training


def test_a_model_that_looks_at_its_data_has_the_same_fisher_information() -> None:
    class Looking(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs if inputs.sum().item() > -1e9 else inputs + 1)

    plain, inputs = nn.Linear(3, 2).double(), drawn(5, 7, 3)
    looking = Looking(3, 2).double()
    looking.load_state_dict(plain.state_dict())
    found, wanted = fisher_information(looking, [inputs], chunk=3), fisher_information(plain, [inputs], chunk=3)
    assert all(torch.allclose(found[name], wanted[name], rtol=1e-12) for name in wanted.tensors)


def test_drawn_labels_give_the_same_in_expectation() -> None:
    model, inputs = family().base.trunk.mlp, torch.relu(drawn(0, 30, 12).float())
    exact = fisher_information(model, [inputs])
    generator = torch.Generator().manual_seed(0)
    draws = fisher_information(model, [inputs] * 60, labels="sampled", generator=generator)
    assert torch.allclose(draws["2.weight"].sum(), exact["2.weight"].sum(), rtol=0.1)


def test_keywords_and_frozen_parameters() -> None:
    model = linear([[0.0, 0.0], [0.0, 0.0]])
    assert not fisher_information(nn.Sequential(model.requires_grad_(False)), [torch.ones(1, 2)]).tensors

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = linear([[0.0, 0.0], [0.0, 0.0]])

        def forward(self, pixels: Tensor, factor: float = 1.0) -> Any:
            return type("Output", (), {"logits": factor * self.inner(pixels)})()

    batch = {"pixels": tensor([[1.0, 2.0]]), "labels": tensor([0])}
    assert fisher_information(Named(), [batch])["inner.weight"].tolist() == [[0.25, 1.0], [0.25, 1.0]]
    # What is no tensor is the same for every sample.
    doubled = fisher_information(Named(), [{**batch, "factor": 2.0}])
    assert doubled.samples == 1 and doubled["inner.weight"].tolist() == [[1.0, 4.0], [1.0, 4.0]]


def test_statistics_are_files(tmp_path: Path) -> None:
    found = input_gramians(family().experts["up"], [x for x, _ in family().batches["up"]])
    found.save(tmp_path / "up.safetensors")
    again = Statistics.load(tmp_path / "up.safetensors")
    assert again.kind == "gramian" and again.samples == found.samples == 144
    assert all(torch.equal(again[name], found[name]) for name in found) and repr(again) == repr(found)
    assert repr(again) != repr(Statistics("gramian", 144, {**found.tensors, "head.weight": torch.eye(12)}))
    (tmp_path / "broken").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as statistics"):
        Statistics.load(tmp_path / "broken")
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="holds no statistics"):
        Statistics.load(tmp_path / "model.safetensors")


def test_fisher_merging_by_hand() -> None:
    models = [{"w": tensor([1.0, 2.0])}, {"w": tensor([3.0, 6.0])}, {"w": tensor([5.0, 1.0])}]
    known = [{"w": tensor([1.0, 0.0])}, {"w": tensor([1.0, 3.0])}, {"w": tensor([2.0, 1.0])}]
    merged = Fisher(known, normalise=False, floor=1e-12)(None, models)["w"]
    assert merged.tolist() == pytest.approx([(1 + 3 + 10) / 4, (18 + 1) / 4])
    doubled = Fisher(known, weights=[2, 1, 0], normalise=False, floor=1e-12)(None, models)["w"]
    assert doubled.tolist() == pytest.approx([5 / 3, 6.0])


@settings(max_examples=25)
@given(seed=some.integers(0, 1000), scale=some.floats(1e-6, 1e6), models=some.integers(1, 4))
def test_fisher_merging_holds_for_all(seed: int, scale: float, models: int) -> None:
    states = [{"a.weight": drawn(seed + k, 3, 5), "a.bias": drawn(seed + k + 50, 3)} for k in range(models)]
    known = [
        {name: value.square() + 0.1 for name, value in drawn_like(states[0], seed + k).items()} for k in range(models)
    ]
    merged = Fisher(known)(None, states)
    lengths = [math.sqrt(sum(float(v.square().sum()) for v in one.values())) for one in known]
    for name in merged:
        shares = [one[name] / length for one, length in zip(known, lengths, strict=True)]
        wanted = sum(s * m[name] for s, m in zip(shares, states, strict=True)) / sum(shares)
        assert torch.allclose(merged[name], torch.as_tensor(wanted), rtol=1e-9)
    # A model's own scale of information does not count, nor the order; equal information is the average.
    louder = [{name: value * scale for name, value in known[0].items()}, *known[1:]]
    turned = Fisher(louder[::-1])(None, states[::-1])
    assert all(torch.allclose(turned[name], merged[name], rtol=1e-9) for name in merged)
    plain = Fisher([known[0]] * models)(None, states)
    assert all(torch.allclose(plain[n], torch.stack([s[n] for s in states]).mean(0), atol=1e-12) for n in plain)


def drawn_like(state: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    return {name: drawn(seed + 200 + place, *value.shape) for place, (name, value) in enumerate(state.items())}


def test_gramians_are_those_of_all_inputs() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Dropout(0.5))
    batches = [drawn(0, 5, 7, 3).float(), drawn(1, 2, 7, 3).float()]
    found = input_gramians(model, batches, exclude=["9*"])
    rows = torch.cat([batch.flatten(0, 1) for batch in batches]).double()
    inner = torch.relu(model[0](rows.float())).detach().double()
    assert torch.allclose(found["0.weight"], rows.T @ rows / 49) and found.samples == 49
    assert torch.allclose(found["2.weight"], inner.T @ inner / 49, rtol=1e-5)
    assert set(input_gramians(model, batches, exclude=["0.*"])) == {"2.weight"}
    with pytest.raises(DataError, match="no linear layer"):
        input_gramians(nn.ReLU(), batches)


@settings(max_examples=20)
@given(seed=some.integers(0, 1000), models=some.integers(2, 4), rows=some.integers(1, 12))
def test_regmean_is_the_least_squares_layer(seed: int, models: int, rows: int) -> None:
    inputs = [drawn(seed + k, rows + 6, 5) for k in range(models)]
    layers = [{"weight": drawn(seed + k + 50, 4, 5), "bias": drawn(seed + k + 80, 4)} for k in range(models)]
    known = [{"weight": x.T @ x} for x in inputs]
    merged = RegMean(known, alpha=1.0)(None, layers)
    answers = torch.cat([x @ layer["weight"].T for x, layer in zip(inputs, layers, strict=True)])
    wanted = torch.linalg.lstsq(torch.cat(inputs), answers).solution.T
    assert torch.allclose(merged["weight"], wanted, atol=1e-7)
    assert torch.allclose(merged["bias"], torch.stack([layer["bias"] for layer in layers]).mean(0))


def test_regmean_where_inputs_tell_models_apart() -> None:
    # Disjoint inputs: the merged layer answers each model's inputs as that model did, and averages where nobody looked.
    layers = [{"weight": drawn(k, 3, 6)} for k in range(2)]
    known = [
        {"weight": torch.diag(tensor([1.0, 4.0, 0, 0, 0, 0]))},
        {"weight": torch.diag(tensor([0, 0, 2.0, 1.0, 0, 0]))},
    ]
    merged = RegMean(known)(None, layers)["weight"]
    assert torch.allclose(merged[:, :2], layers[0]["weight"][:, :2])
    assert torch.allclose(merged[:, 2:4], layers[1]["weight"][:, 2:4])
    assert torch.allclose(merged[:, 4:], (layers[0]["weight"] + layers[1]["weight"])[:, 4:] / 2)


def test_regmean_of_orthogonal_inputs_is_the_average_and_alpha_softens() -> None:
    layers = [{"weight": drawn(k, 3, 4)} for k in range(3)]
    mean = torch.stack([layer["weight"] for layer in layers]).mean(0)
    assert torch.allclose(RegMean([{"weight": 2.5 * torch.eye(4)}] * 3)(None, layers)["weight"], mean)
    mixed = [{"weight": (x := drawn(k + 9, 6, 4)).T @ x} for k in range(3)]
    diagonal = [{"weight": one["weight"].diag().diag()} for one in mixed]
    softened = RegMean(mixed, alpha=0.0)(None, layers)["weight"]
    assert torch.allclose(softened, RegMean(diagonal, alpha=1.0)(None, layers)["weight"])
    assert not torch.allclose(softened, RegMean(mixed, alpha=1.0)(None, layers)["weight"], atol=1e-3)


def test_large_layers_are_merged_block_by_block() -> None:
    layers = [{"weight": drawn(k, 300, 500).float()} for k in range(2)]
    known = [{"weight": (x := drawn(k + 5, 900, 500)).T @ x} for k in range(2)]
    merged = RegMean(known)(None, layers)["weight"]
    soft = [0.9 * one["weight"] + 0.1 * one["weight"].diag().diag() for one in known]
    total = sum(layer["weight"].double() @ part for layer, part in zip(layers, soft, strict=True))
    assert torch.allclose(merged.double(), torch.linalg.solve(sum(soft), total.T).T, atol=1e-5)


def test_merging_real_models_beats_averaging() -> None:
    known = family()
    trunks = [{n: v for n, v in e.state_dict().items() if n.startswith("trunk")} for e in known.experts.values()]
    statistics = [input_gramians(known.experts[t], [x for x, _ in known.batches[t]], ["head.*"]) for t in known.experts]
    merged = RegMean(statistics)(None, trunks)
    mean = {n: torch.stack([trunk[n] for trunk in trunks]).mean(0) for n in merged}

    def error(state: dict[str, Tensor]) -> float:
        total = 0.0
        for task, expert in known.experts.items():
            inputs = known.batches[task][0][0]
            first = torch.relu(expert.trunk.stem(inputs))
            answer = first @ state["trunk.mlp.0.weight"].T
            total += float((answer - first @ expert.trunk.mlp[0].weight.T).square().mean().detach())
        return total

    assert error(merged) < 0.8 * error(mean)


@pytest.mark.parametrize("make", [Fisher, RegMean])
def test_one_model_comes_back_bit_for_bit(make: Any) -> None:
    layer = {"weight": drawn(0, 3, 3).float()}
    assert torch.equal(make([{"weight": torch.eye(3)}])(None, [layer])["weight"], layer["weight"])


EYE = {"weight": torch.eye(2)}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Fisher([EYE], floor=0.0), ConfigurationError, "floor must be positive"),
        (lambda: Fisher([EYE], weights=[0.0]), ConfigurationError, "not all 0"),
        (lambda: Fisher([]), ConfigurationError, "a list with one mapping"),
        (
            lambda: Fisher([Statistics("gramian", 1, EYE)]),
            ConfigurationError,
            "of the kind 'gramian'; 'fisher' is needed",
        ),
        (lambda: Fisher([{"weight": torch.zeros(2)}]), DataError, "nothing to weigh by"),
        (lambda: Fisher([EYE])(None, [EYE, EYE]), ConfigurationError, "1 statistics for 2 models"),
        (lambda: Fisher([EYE, {"weight": torch.ones(3)}])(None, [EYE, EYE]), DataError, "taken from another model"),
        (lambda: RegMean([EYE], alpha=1.5), ConfigurationError, "alpha must lie"),
        (lambda: RegMean([EYE, {}]), DataError, "say nothing of weight"),
        (lambda: RegMean([{"weight": torch.full((2, 2), math.nan)}]), DataError, "no finite square matrix"),
        (lambda: RegMean([EYE] * 2)(None, [{"weight": torch.ones(2, 3)}] * 2), DataError, "are of 2 inputs"),
        (lambda: fisher_information(linear([[1.0]]), []), DataError, "no batches"),
        (lambda: fisher_information(linear([[1.0]]), [], labels="true"), ConfigurationError, "labels must be"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit_is_named(make: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make()
