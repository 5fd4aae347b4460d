"""Merging with data: what is shared, how coefficients, masks, layers and students are learned."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from tests.merging.learned.family import TASKS, WIDTH, family, merged_by_hand, network, summed_entropy, with_trunk
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError, DataError
from accord.merging import (
    ATLAS,
    AdaMerging,
    ConcreteSubspace,
    Distillation,
    LearnedMerging,
    ModelTinting,
    NonFiniteMergeWarning,
    RepresentationSurgery,
    TaskArithmetic,
    WEMoE,
)

QUICK: dict[str, LearnedMerging] = {
    "adamerging": AdaMerging(steps=3),
    "adamerging++": AdaMerging("task", density=0.2, steps=3),
    "atlas": ATLAS(steps=3),
    "atlas in parts": ATLAS("pseudo", partitions=3, steps=3, confidence=0.0),
    "concrete": ConcreteSubspace(steps=3),
    "concrete adamerging": ConcreteSubspace("ada_merging", steps=3, merging_steps=2),
    "surgery": RepresentationSurgery(rank=2, steps=3),
    "tinting": ModelTinting(steps=3),
    "wemoe": WEMoE("trunk.mlp", steps=3),
    "distillation": Distillation(head_steps=2, steps=3),
}


def run(method: LearnedMerging, **changes: Any):
    known = family()
    return method(known.base, known.experts, changes.pop("batches", known.batches), **changes)


def accuracy(modules: Any) -> float:
    right = [(modules[t](x).argmax(-1) == y).float().mean() for t in TASKS for x, y in family().batches[t]]
    return float(torch.stack(right).mean())


@pytest.mark.parametrize("name", QUICK)
def test_experts_stay_as_they_are_and_seeds_repeat(name: str) -> None:
    before = {task: deepcopy(module.state_dict()) for task, module in family().experts.items()}
    first, second = run(QUICK[name], seed=3), run(QUICK[name], seed=3)
    for task, module in family().experts.items():
        assert module.training and all(part.training for part in module.modules())
        assert all(torch.equal(value, before[task][key]) for key, value in module.state_dict().items())
        assert all(parameter.grad is None for parameter in module.parameters())
        inputs = family().batches[task][0][0]
        assert not first.modules[task].training
        assert torch.equal(first.modules[task](inputs), second.modules[task](inputs))
    assert first.history.shape[1] == 3 and torch.isfinite(first.history).all()


@pytest.mark.parametrize("name", QUICK)
def test_a_task_whose_loss_is_not_finite_sits_out(name: str) -> None:
    broken = {**family().batches, "right": [(torch.full((4, 4), torch.inf), torch.zeros(4, dtype=torch.long))]}
    with pytest.warns(NonFiniteMergeWarning, match="'right' was not finite in"):
        merged = run(QUICK[name], batches=broken)
    for task in ("left", "up"):
        assert torch.isfinite(merged.modules[task](family().batches[task][0][0])).all()
    assert all(torch.isfinite(value).all() for value in merged.state.values())


def test_first_steps_follow_the_slope_of_the_entropy() -> None:
    # Adam's first step is its rate against the sign of the gradient: finite differences of the objective, worked out
    # another way, must agree on every sign.
    start, rate = torch.full((3, 6), 0.3, dtype=torch.float64), 0.01
    one = {task: batches[:1] for task, batches in family().batches.items()}
    merged = run(AdaMerging(steps=1, rate=rate), batches=one)
    assert merged.coefficients is not None
    slopes = torch.empty(3, 6)
    for i in range(3):
        for place in range(6):
            nudge = torch.zeros_like(start)
            nudge[i, place] = 1e-5
            slopes[i, place] = (summed_entropy(start + nudge) - summed_entropy(start - nudge)) / 2e-5
    clear = slopes.abs() > 1e-5
    assert clear.sum() >= 15
    assert torch.allclose((merged.coefficients - 0.3)[clear], -rate * slopes.sign()[clear], atol=1e-4)
    assert merged.history.sum() == pytest.approx(summed_entropy(start), rel=1e-5)


@pytest.mark.parametrize("granularity", ["task", "layer"])
def test_adamerging_lowers_the_entropy_and_keeps_its_bounds(granularity: Any) -> None:
    merged = run(AdaMerging(granularity, steps=60, rate=0.02))
    scales = merged.coefficients
    assert scales is not None and scales.shape == ((3,) if granularity == "task" else (3, 6))
    assert scales.min() >= 0 and scales.max() <= 1
    wide = (scales[:, None] if granularity == "task" else scales).expand(3, 6).double()
    assert sum(summed_entropy(wide, b) for b in range(3)) < 0.9 * sum(
        summed_entropy(torch.full((3, 6), 0.3, dtype=torch.float64), b) for b in range(3)
    )
    for name, value in merged_by_hand(wide).items():
        assert torch.allclose(merged.state[name], value.float(), atol=1e-6)
    plain = {task: with_trunk(task, merged_by_hand(torch.full((3, 6), 0.3))) for task in TASKS}
    assert accuracy(merged.modules) >= accuracy(plain)


def test_one_expert_at_one_is_that_expert() -> None:
    known = family()
    alone = {"left": known.experts["left"]}
    merged = AdaMerging("task", start=1.0, steps=1, rate=0.0)(known.base, alone, {"left": known.batches["left"]})
    inputs = known.batches["left"][0][0]
    assert torch.allclose(merged.modules["left"](inputs), known.experts["left"](inputs), atol=1e-5)


def test_trimming_keeps_what_is_large_and_agrees() -> None:
    base, experts = nn.Linear(2, 2, bias=False), {}
    base.weight.data = torch.zeros(2, 2)
    for task, rows in {"a": [[4.0, 0.1], [3.0, -2.0]], "b": [[-1.0, 5.0], [2.0, 0.2]]}.items():
        experts[task] = nn.Linear(2, 2, bias=False)
        experts[task].weight.data = torch.tensor(rows)
    batches = {task: [torch.ones(1, 2)] for task in experts}
    merged = AdaMerging("task", density=0.5, start=1.0, steps=1, rate=0.0)(base, experts, batches)
    # a keeps 4 and 3; b keeps 5 and 2; both agree where both are left.
    assert merged.state["weight"].tolist() == [[4.0, 5.0], [5.0, 0.0]]


def test_weights_that_are_merged_are_held_once() -> None:
    for name in ("adamerging", "tinting", "distillation"):
        modules = run(QUICK[name]).modules
        shared = [module.get_parameter("trunk.stem.weight") for module in modules.values()]
        assert all(parameter is shared[0] for parameter in shared)


def test_surgery_starts_as_the_merge_and_brings_features_nearer() -> None:
    known = family()
    idle = run(RepresentationSurgery(rank=4, scale=0.3, steps=1, rate=0.0))
    plain = merged_by_hand(torch.full((3, 6), 0.3))
    inputs = known.batches["up"][1][0]
    assert torch.allclose(idle.modules["up"](inputs), with_trunk("up", plain)(inputs), atol=1e-5)
    merged = run(RepresentationSurgery(rank=4, scale=0.3, steps=200, rate=1e-2))
    for task in TASKS:
        inputs = known.batches[task][0][0]
        wanted, before = known.experts[task].trunk(inputs), with_trunk(task, plain).trunk(inputs)
        after = merged.modules[task].trunk(inputs)
        assert (after - wanted).abs().mean() < 0.75 * (before - wanted).abs().mean()
        correction = merged.modules[task].trunk[1]
        by_hand = before - functional.relu(before @ correction.down.T) @ correction.up.T
        assert torch.allclose(after, by_hand, atol=1e-5)


def test_surgery_operates_on_any_merge() -> None:
    known = family()
    trunks = [{k: v for k, v in e.state_dict().items() if k.startswith("trunk")} for e in known.experts.values()]
    state = TaskArithmetic(scale=0.5)(known.base, trunks)
    merged = run(RepresentationSurgery(steps=1, rate=0.0, state=state))
    assert all(torch.equal(merged.state[name], state[name]) for name in state)
    with pytest.raises(DataError, match=r"state lacks 'trunk\.stem\.weight'"):
        run(RepresentationSurgery(state={}))


def test_tints_differ_and_nothing_else_does() -> None:
    merged = run(ModelTinting(steps=100, rate=1e-2))
    assert sorted(merged.state) == sorted(merged_by_hand(torch.zeros(3, 6)))
    heads = [module.head.weight for module in merged.modules.values()]
    assert not torch.equal(heads[0], family().experts["left"].head.weight) and not torch.equal(heads[0], heads[1])
    assert accuracy(merged.modules) > 0.95
    inner = run(ModelTinting("trunk.mlp", steps=2))
    assert not torch.equal(*(inner.modules[t].trunk.mlp[0].weight for t in ("left", "up")))
    assert torch.equal(inner.modules["left"].head.weight, family().experts["left"].head.weight)


def test_a_mask_that_learned_nothing_is_task_arithmetic() -> None:
    # Every logit 0: m is 1/2 everywhere and m / mean(m) is 1.
    merged = run(ConcreteSubspace(steps=1, rate=0.0, scale=0.3))
    for name, value in merged_by_hand(torch.full((3, 6), 0.3)).items():
        assert torch.allclose(merged.state[name], value, atol=1e-6)


def test_a_learned_mask_lowers_the_entropy() -> None:
    merged = run(ConcreteSubspace(steps=150, rate=0.05))
    found = [_entropy(merged.modules[t](x)) for t in TASKS for x, _ in family().batches[t]]
    plain = {t: with_trunk(t, merged_by_hand(torch.full((3, 6), 0.3))) for t in TASKS}
    before = [_entropy(plain[t](x)) for t in TASKS for x, _ in family().batches[t]]
    assert sum(found) < 0.9 * sum(before)


def test_atlas_starts_at_the_base_and_learns_from_labels() -> None:
    idle = run(ATLAS(steps=1, rate=0.0))
    assert all(torch.equal(idle.state[n], v) for n, v in family().base.state_dict().items())
    assert accuracy(run(ATLAS(steps=60)).modules) > max(0.9, accuracy(idle.modules))
    parts = run(ATLAS(steps=5, partitions=4))
    assert parts.coefficients is not None and parts.coefficients.shape == (3, 6, 4)


def test_atlas_composes_for_a_task_without_expert() -> None:
    # Few labels of a new task; three experts of other tasks around the new task's head.
    known = family()
    head = nn.Linear(WIDTH, 3)
    experts = {task: deepcopy(expert) for task, expert in known.experts.items()}
    for expert in experts.values():
        expert.head = head
    batches = dict.fromkeys(TASKS, known.batches["left"])
    merged = ATLAS(steps=40)(known.base, experts, batches)
    assert merged.history[-1].mean() < merged.history[0].mean()


def test_every_sample_has_its_own_weights() -> None:
    merged = run(WEMoE("trunk.mlp", steps=20, rate=1e-2))
    ensemble = merged.modules["left"].trunk.mlp
    assert ensemble is merged.modules["up"].trunk.mlp
    inputs = torch.relu(torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0)))
    gates = ensemble.gates(inputs)
    hidden = torch.relu(functional.linear(inputs, ensemble.hidden, ensemble.hidden_bias))
    assert torch.allclose(gates, functional.linear(hidden, ensemble.out, ensemble.out_bias), atol=1e-6)
    assert (gates - 0.3).abs().max() > 1e-3
    for row, gate, sample in zip(ensemble(inputs), gates, inputs, strict=True):
        block = with_trunk("left", merged_by_hand(gate[:, None].expand(3, 6).detach())).trunk.mlp
        assert torch.allclose(row, block(sample), atol=1e-5)
    assert not any(name.startswith("trunk.mlp") for name in merged.state)


def test_a_sequence_is_routed_as_one_sample() -> None:
    ensemble = run(WEMoE("trunk.mlp", steps=1)).modules["left"].trunk.mlp
    tokens = torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(1))
    each = torch.stack([ensemble.gates(tokens[:, place]) for place in range(7)]).mean(dim=0)
    assert torch.allclose(ensemble.gates(tokens), each, atol=1e-6)
    assert ensemble(tokens).shape == tokens.shape


def test_distillation_comes_nearer_to_its_teachers() -> None:
    known = family()
    merged = run(Distillation(scale=0.0, steps=150, rate=1e-2))
    for task in TASKS:
        inputs = known.batches[task][0][0]
        wanted = known.experts[task](inputs).log_softmax(-1)
        before = with_trunk(task, known.base.state_dict())(inputs).log_softmax(-1)
        after = merged.modules[task](inputs).log_softmax(-1)
        assert (after - wanted).abs().mean() < 0.5 * (before - wanted).abs().mean()
    assert accuracy(merged.modules) > 0.95


def test_heads_are_fitted_before_the_trunk_moves() -> None:
    merged = run(Distillation(scale=0.0, head_steps=20, steps=1, rate=1e-2, trunk_factor=1e-12))
    assert torch.allclose(merged.state["trunk.stem.weight"], family().base.trunk.stem.weight, atol=1e-7)
    assert not torch.equal(merged.modules["up"].head.weight, family().experts["up"].head.weight)
    assert merged.history.shape == (21, 3)


class Outputs(nn.Module):
    """Called with keywords and answering with an object, as Hugging Face's models are."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Tensor) -> Any:
        return type("Output", (), {"logits": self.inner(pixels)})()


def test_batches_of_keywords_and_outputs_with_logits() -> None:
    known = family()
    experts = {task: Outputs(module) for task, module in known.experts.items()}
    batches = {t: [{"pixels": x, "labels": y} for x, y in known.batches[t]] for t in TASKS}
    base = {f"inner.{name}": value for name, value in known.base.state_dict().items()}
    for method in (AdaMerging(steps=2), ATLAS(steps=2)):
        merged, plain = method(base, experts, batches), method(known.base, known.experts, known.batches)
        assert torch.equal(merged.history, plain.history)


def test_statistics_of_batch_normalisation_are_averaged() -> None:
    def made(mean: float) -> nn.Module:
        norm = nn.BatchNorm1d(4)
        norm.running_mean.fill_(mean)
        return nn.Sequential(norm, nn.Linear(4, 2))

    experts = {"a": made(1.0), "b": made(3.0)}
    merged = AdaMerging(steps=1)(made(0.0), experts, {t: [torch.randn(8, 4)] for t in experts})
    assert merged.modules["a"][0].running_mean.tolist() == [2.0] * 4
    assert experts["a"][0].running_mean.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"experts": {}}, ConfigurationError, "at least one task"),
        ({"experts": {"left": {}}}, ConfigurationError, "'left' is a dict, not a torch.nn.Module"),
        ({"batches": {"left": []}}, ConfigurationError, "no batches were given for 'right'"),
        ({"batches": []}, ConfigurationError, "must map each task"),
        ({"batches": "extra"}, ConfigurationError, "batches were given for 'down', which has no expert"),
        ({"batches": "empty"}, DataError, "batches of 'left' are empty"),
        ({"keep": ["*"]}, ConfigurationError, "nothing is left to merge"),
        (
            {"base": network(0, classes=5)},
            DataError,
            r"'head.weight' is \[3, 12\] in the expert of 'left' and \[5, 12\]",
        ),
        ({"base": {**network(0).state_dict(), "trunk.stem.weight": torch.zeros(2)}}, DataError, "trunk.stem.weight"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], error: type, message: str) -> None:
    known = family()
    batches = {"extra": {**known.batches, "down": []}, "empty": {**known.batches, "left": []}}
    experts = change.get("experts", known.experts)
    given = change.get("batches", {task: known.batches[task] for task in experts if task in known.batches})
    given = batches[given] if isinstance(given, str) else given
    with pytest.raises(error, match=message):
        AdaMerging(steps=1)(change.get("base", known.base), experts, given, keep=change.get("keep", ()))


def test_kept_parameters_stay_each_experts_own() -> None:
    merged = AdaMerging(steps=1)(network(0), family().experts, family().batches, keep=["head.*"])
    assert torch.equal(merged.modules["up"].head.weight, family().experts["up"].head.weight)
    assert not any(name.startswith("head") for name in merged.state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaMerging("tensor"), "granularity must be"),  # type: ignore[arg-type]
        (lambda: AdaMerging(density=0.0), "density must lie"),
        (lambda: AdaMerging(steps=0), "steps must be at least 1; got 0"),
        (lambda: ATLAS("none"), "labels must be"),  # type: ignore[arg-type]
        (lambda: ConcreteSubspace("ties"), "then must be"),  # type: ignore[arg-type]
        (lambda: ConcreteSubspace(temperature=0.0), "temperature must be positive"),
        (lambda: Distillation(trunk_factor=0.0), "trunk_factor and temperature"),
        (lambda: RepresentationSurgery(rank=0), "rank must be at least 1"),
        (lambda: run(RepresentationSurgery(at="trunc")), "no module 'trunc'.*trunk"),
        (lambda: run(ModelTinting("hat")), "no layer 'hat'.*head"),
        (lambda: run(WEMoE("*mlq")), "no module is named like"),
        (lambda: run(WEMoE("head")), "head.weight is not merged"),
        (lambda: run(WEMoE("trunk*")), "lies inside another"),
    ],
)
def test_options_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_labels_are_asked_for_where_they_are_needed() -> None:
    bare = {task: [x for x, _ in batches] for task, batches in family().batches.items()}
    with pytest.raises(DataError, match="batches of 'left' have no labels"):
        run(ATLAS(steps=1), batches=bare)
    assert torch.equal(run(AdaMerging(steps=2), batches=bare).history, run(AdaMerging(steps=2)).history)


def _entropy(logits: Tensor) -> float:
    return float(torch.distributions.Categorical(logits=logits.detach()).entropy().mean())


@pytest.mark.parametrize("method", QUICK.values(), ids=QUICK)
def test_a_method_says_how_to_build_it_again(method: LearnedMerging) -> None:
    again = eval(repr(method), {cls.__name__: cls for cls in type(method).__mro__})
    assert vars(again) == vars(method) and repr(again) == repr(method)
