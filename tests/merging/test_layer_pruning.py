"""Layers that go back to the base: which, and that what merges the others then sees nothing else."""

from __future__ import annotations

import json
import math
import re
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging import recipe_zoo as zoo
from tests.merging.made import siblings

from accord.cli.app import main as accord_command
from accord.errors import ConfigurationError
from accord.merging import (
    DARE,
    EMR,
    SCE,
    SLERP,
    TIES,
    IsoC,
    LayerPruning,
    Linear,
    Rules,
    TaskArithmetic,
    TSVMerge,
    merge_recipe,
    open_checkpoint,
    plan_merge,
    read_recipes,
)

INNER = [TaskArithmetic(0.4), TIES(0.3), DARE(0.5, merge="ties"), SCE(0.5), TSVMerge(), IsoC(), EMR(1)]
NAMES = ("net.0.up.w", "net.0.up.b", "net.1.up.w", "net.1.down.b", "net.10.w", "net.2.w", "embed.w", "norm.w", "bare")
SHAPES = ((3, 4), (4,), (4, 5), (), (0, 3), (5, 2), (6, 3), (3,), (2, 2))


def made(seed, models=3, dtype=torch.float32):
    """Siblings with four numbered layers, one of them empty, and three modules; each model leaves some as they are."""
    base, moved = siblings(seed, models, dtype, SHAPES)
    names = dict(zip(base, NAMES, strict=True))
    base, *moved = [{names[key]: tensor for key, tensor in state.items()} for state in (base, *moved)]
    rng = np.random.default_rng(seed)
    for model in moved:
        for name in rng.choice(NAMES, 2, replace=False):
            model[name] = base[name]
        for name, size in zip(NAMES, rng.uniform(0.0, 2.0, len(NAMES)), strict=True):
            model[name] = (base[name].float() + float(size) * (model[name].float() - base[name].float())).to(dtype)
    return base, moved


def state(first, second, third):
    return {"net.0.w": torch.tensor(first), "net.1.w": torch.tensor(second), "head.w": torch.tensor(third)}


def same(one, other):
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def oracle_scores(base, models, score, layers):
    """Scores of the layers that each model changed, from whole vectors in float64."""
    groups = {}
    for name in base:
        module = name.rpartition(".")[0] or name
        layer = re.match(r"net\.\d+", name)
        groups.setdefault(layer[0] if layer and layers == "block" else module, []).append(name)
    found = []
    for place in range(len(models)):
        mine = {}
        for layer, names in groups.items():
            theta, *all_models = (
                np.concatenate([s[name].double().numpy().reshape(-1) for name in names]) for s in (base, *models)
            )
            taus = [model - theta for model in all_models]
            tau = taus.pop(place)
            if not tau.any():
                continue
            left = tau
            length = np.linalg.norm(tau) / np.linalg.norm(theta)
            if score == "relative":
                mine[layer] = (length,)
                continue
            mean = np.mean(taus, axis=0) if taus else np.zeros_like(tau)
            if tau @ mean > 0:
                along = mean / np.linalg.norm(mean)
                left = tau - (tau @ along) * along
            mine[layer] = (np.linalg.norm(left) / np.linalg.norm(tau), length)
        found.append(mine)
    return found, groups


def oracle(base, models, keep, score, layers):
    """Models whose layers of low score are the base's."""
    scores, groups = oracle_scores(base, models, score, layers)
    kept = []
    for mine, model in zip(scores, models, strict=True):
        ranked = sorted(mine, key=mine.get, reverse=True)
        dropped = ranked[max(1, math.floor(keep * len(ranked) + 1e-9)) :]
        back = [name for layer in dropped for name in groups[layer]]
        kept.append({name: base[name] if name in back else tensor for name, tensor in model.items()})
    return kept


def test_three_models_by_hand():
    base = state([3.0, 4.0], [1.0, 0.0], [0.0, 2.0])  # lengths 5, 1, 2
    models = [
        state([6.0, 8.0], [1.0, 0.5], [0.0, 3.0]),  # moved by 5, 0.5, 1: scores 1, 0.5, 0.5
        state([3.0, 5.0], [3.0, 0.0], [0.0, 2.0]),  # by 1, 2, 0: scores 0.2, 2 and a layer that was not changed
        state([3.0, 9.0], [1.0, 0.0], [0.0, 2.0]),
    ]
    # Two of three layers, of which head comes before net.1 at equal scores; one of two; the only one.
    merged = LayerPruning(TaskArithmetic(1.0), keep=0.67, score="relative")(base, models)
    same(merged, state([6.0, 13.0], [3.0, 0.0], [0.0, 3.0]))


def test_of_equally_distinct_layers_those_that_moved_further_stay():
    base = state([5.0, 5.0], [5.0, 5.0], [5.0, 5.0])
    mine = state([5.0, 6.0], [5.0, 7.0], [5.0, 5.5])  # where the other model went the other way, or nowhere
    other = state([5.0, 3.0], [5.0, 5.0], [5.0, 5.0])
    for models in ([mine], [mine, other]):
        kept = LayerPruning(keep=0.4, score="distinct").pruned(base, models)[0]
        same(kept, base | {"net.1.w": mine["net.1.w"]})


def test_what_all_bring_alike_is_ranked_by_length_and_not_by_rounding():
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        taus = {f"net.{i}.w": torch.randn(5, generator=generator, dtype=torch.float64) for i in range(6)}
        base = dict.fromkeys(taus, torch.ones(5, dtype=torch.float64))
        models = [{name: base[name] + size * tau for name, tau in taus.items()} for size in (1.0, 0.3, 0.7)]
        pruned = LayerPruning(keep=0.5, score="distinct").pruned(base, models)
        same(pruned[0], LayerPruning(keep=0.5, score="relative").pruned(base, models)[0])


def test_nothing_moved_further_than_what_was_zero():
    base = state([0.0, 0.0], [1.0, 1.0], [1.0, 1.0])
    model = state([0.0, 0.1], [9.0, 1.0], [5.0, 1.0])
    for score in ("relative", "distinct"):
        kept = LayerPruning(keep=0.4, score=score).pruned(base, [model])[0]
        same(kept, base | {"net.0.w": model["net.0.w"]})


def test_what_others_bring_as_well_goes_first():
    base = state([5.0, 5.0], [5.0, 5.0], [5.0, 5.0])
    mine = state([6.0, 5.0], [6.0, 6.0], [4.0, 5.0])  # along the others; at half a right angle; against them
    others = [state([6.0, 5.0], [6.0, 5.0], [6.0, 5.0])] * 2

    def first(keep):
        return LayerPruning(keep=[keep, 1.0, 1.0], score="distinct").pruned(base, [mine, *others])[0]

    same(first(0.9), mine | {"net.0.w": base["net.0.w"]})
    same(first(0.4), mine | {"net.0.w": base["net.0.w"], "net.1.w": base["net.1.w"]})


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 4),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    keep=st.sampled_from([0.01, 0.2, 0.4, 0.5, 0.75, 0.99]),
    score=st.sampled_from(["relative", "distinct"]),
    layers=st.sampled_from(["block", "module"]),
)
def test_the_layers_of_an_oracle_are_dropped(seed, models, dtype, keep, score, layers):
    base, moved = made(seed, models, dtype)
    scores, _ = oracle_scores(base, moved, score, layers)
    for mine in scores:  # layers within rounding of each other may go either way
        ranked = sorted(mine.values())
        if any(0.0 < b[0] - a[0] < (1e-6 if score == "distinct" else 1e-9 * b[0]) for a, b in pairwise(ranked)):
            return
    expected = oracle(base, moved, keep, score, layers)
    for one, other in zip(LayerPruning(None, keep, score, layers).pruned(base, moved), expected, strict=True):
        same(one, other)


@pytest.mark.parametrize("inner", INNER, ids=lambda inner: type(inner).__name__)
def test_any_method_merges_what_is_left_and_sees_nothing_else(inner):
    base, moved = made(1, 3)
    for score in ("relative", "distinct"):
        pruned = LayerPruning(inner, 0.4, score).pruned(base, moved)
        same(LayerPruning(inner, 0.4, score)(base, moved), inner(base, pruned))
    same(LayerPruning(inner, keep=1.0)(base, moved), inner(base, moved))


def test_a_layer_that_all_drop_is_the_bases():
    base, moved = made(2, 3, torch.bfloat16)
    for model in moved:
        for name in NAMES:
            model[name] = base[name] * (1.001 if name == "norm.w" else 1.5)
    for inner in INNER:
        merged = LayerPruning(inner, 0.9, "relative")(base, moved)
        assert torch.equal(merged["norm.w"], base["norm.w"]), inner
        assert not torch.equal(merged["embed.w"], base["embed.w"]), inner


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(4)), score=st.sampled_from(["relative", "distinct"]))
def test_the_order_of_models_changes_nothing(seed, order, score):
    base, moved = made(seed, 4)
    keeps = [0.2, 0.4, 0.6, 0.8]
    pruned = LayerPruning(None, keeps, score).pruned(base, moved)
    again = LayerPruning(None, [keeps[i] for i in order], score).pruned(base, [moved[i] for i in order])
    for place, other in zip(order, again, strict=True):
        same(pruned[place], other)


def test_equal_scores_are_told_apart_by_number_and_name_alone():
    shared = torch.arange(1.0, 7.0)
    names = ["net.10.w", "net.9.w", "norm.w", "embed.w"]
    base = dict.fromkeys(names, shared)
    model = dict.fromkeys(names, 1.5 * shared)
    for score in ("relative", "distinct"):
        pruned = LayerPruning(None, 0.5, score).pruned(base, [model, dict(model)])
        for each in pruned:
            assert [name for name in names if torch.equal(each[name], 1.5 * shared)] == ["net.9.w", "embed.w"]


def test_layers_in_which_others_moved_alike_but_in_another_order_are_equal():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        mine, *others = torch.rand(5, 3, generator=generator, dtype=torch.float64)
        base = dict.fromkeys(["net.0.w", "net.1.w"], torch.ones(3, dtype=torch.float64))
        moved = [{"net.0.w": 1 + one, "net.1.w": 1 + two} for one, two in zip(others, others[::-1], strict=True)]
        kept = LayerPruning(keep=0.5, score="distinct").pruned(base, [dict.fromkeys(base, 1 + mine), *moved])[0]
        same(kept, {"net.0.w": 1 + mine, "net.1.w": base["net.1.w"]})


def test_tied_tensors_are_one_layer_and_stay_tied():
    base, moved = made(3, 2)
    moved[0]["embed.w"], moved[1]["embed.w"] = 1.00001 * base["embed.w"], 3.0 * base["embed.w"]
    tied = [{**each, "head.w": each["embed.w"]} for each in (base, *moved)]
    for keep in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        pruning = LayerPruning(None, keep, "relative")
        plain = pruning.pruned(base, moved)
        assert torch.equal(plain[0]["embed.w"], base["embed.w"])
        assert torch.equal(plain[1]["embed.w"], moved[1]["embed.w"])
        for one, other in zip(plain, pruning.pruned(tied[0], tied[1:]), strict=True):
            same({**one, "head.w": one["embed.w"]}, other)


def test_integers_masks_and_tensors_a_model_lacks_stay_out_of_it():
    base, moved = made(4, 2)
    mask = {"net.0.mask": torch.tensor([0.0, -math.inf]), "net.0.steps": torch.tensor(7)}
    plain = LayerPruning(None, 0.5).pruned(base, moved)
    again = LayerPruning(None, 0.5).pruned(base | mask, [model | mask for model in moved])
    for one, other in zip(plain, again, strict=True):
        same(one | mask, other)
    del moved[0]["bare"]
    lacking = LayerPruning(TIES(0.5), 0.5)(base, moved, rules=Rules(missing="base"))
    same(lacking, LayerPruning(TIES(0.5), 0.5)(base, [moved[0] | {"bare": base["bare"]}, moved[1]]))


def test_one_model_and_models_that_are_the_base():
    base, (model,) = made(5, 1)
    same(LayerPruning(SLERP(1.0), 0.01, "distinct")(base, [model]), oracle(base, [model], 0.01, "relative", "block")[0])
    for score in ("relative", "distinct"):
        same(LayerPruning(TIES(0.5), 0.5, score)(base, [dict(base), dict(base)]), base)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e200])
def test_a_layer_without_a_length_is_named(number):
    base, moved = made(6, 3, torch.float64)
    moved[1]["net.2.w"] = moved[1]["net.2.w"].clone().fill_(number)
    with pytest.raises(ConfigurationError, match=r"task vector of model 1 has numbers in net\.2 that are not finite"):
        LayerPruning()(base, moved)
    with pytest.warns(UserWarning) if abs(number) != 1e200 else nullcontext():
        LayerPruning(keep=1)(base, moved)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerPruning(keep=0.0), "keep is the share that is kept"),
        (lambda: LayerPruning(keep=[0.5, 1.5]), "keep is the share that is kept"),
        (lambda: LayerPruning(score="relativ"), "Did you mean 'relative'"),
        (lambda: LayerPruning(layers="blocks"), "Did you mean 'block'"),
        (lambda: LayerPruning("ties"), r"merge is a method such as TIES"),
        (lambda: LayerPruning(Linear())(*made(7)), "a pruned layer is the base's"),
        (lambda: LayerPruning(SCE())(None, made(7)[1]), "needs the base"),
        (lambda: LayerPruning(keep=[0.5])(*made(7)), "keep has 1 numbers for 3 models"),
        (lambda: LayerPruning()(made(7)[0], []), "no model"),
    ],
)
def test_mistakes_are_explained(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


RECIPE = """
models:
- {model: alpha, parameters: {weight: 0.5}}
- {model: beta, parameters: {density: 0.3}}
- gamma
base_model: base
merge_method: ties
parameters: {weight: 1.0, density: 0.5, normalize: false}
layer_pruning: {keep: [0.5, 0.25, 1.0], score: distinct}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return zoo.with_recipes(tmp_path_factory.mktemp("pruning"))[0]


def test_files_memory_and_the_command_give_the_same_bits(root, capsys):
    base, *models = (open_checkpoint(root / name) for name in ("base", "alpha", "beta", "gamma"))
    weights, densities = [0.5, 1.0, 1.0], [0.5, 0.3, 0.5]
    inner = TIES(densities, trim="tensor", merge="sum", weights=weights, draw="positive")
    pruning = LayerPruning(inner, [0.5, 0.25, 1.0], "distinct")
    merged = pruning(base, models)
    plan = plan_merge(pruning, *(root / "base", [root / n for n in ("alpha", "beta", "gamma")]), root / "planned")
    same(merged, dict(open_checkpoint(plan.run())))
    (root / "pruned.yaml").write_text(RECIPE)
    accord_command(["merge", str(root / "pruned.yaml"), str(root / "out"), "--dry-run"])
    assert "50%, 25%, 100% of the blocks that a model changed are kept by distinct score" in capsys.readouterr().out
    accord_command(["merge", str(root / "pruned.yaml"), str(root / "out")])
    same(merged, dict(open_checkpoint(root / "out")))
    record = json.loads((root / "out" / "accord-merge.json").read_text())
    assert [len(kept) for kept in record["kept_layers"]] == [3, 1, 7]  # of four layers, embedding, norm and head
    again = merge_recipe(root / "out" / "accord-recipe.yaml", root / "again")
    assert json.loads((again / "accord-merge.json").read_text())["tensors"] == record["tensors"]


@pytest.mark.parametrize(("finished", "ranked"), [(0, True), (2, False), ("all", False)])
def test_a_pruned_merge_that_was_killed_goes_on_to_the_same_bits(root, tmp_path, monkeypatch, finished, ranked):
    from accord.merging import merge_files

    def planned(out):
        models = [root / name for name in ("alpha", "beta")]
        return plan_merge(LayerPruning(TIES(0.3)), root / "base", models, tmp_path / out, shard_bytes=1000)

    whole, plan = planned("whole").run(), planned("killed")
    written = []

    class Killed(merge_files.ShardWriter):
        def __enter__(self):
            if len(written) == finished:
                raise KeyboardInterrupt
            written.append(self)
            return super().__enter__()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(merge_files, "ShardWriter", Killed)
        patch.setattr(merge_files, "write_beside", killed)
        if ranked:  # it is killed while it looks
            patch.setattr(LayerPruning, "rank", killed)
        plan.run()
    phases = []
    plan.run(lambda done, whole, phase: phases.append(phase))
    assert ("ranking layers" in phases) is ranked
    same(dict(open_checkpoint(whole)), dict(open_checkpoint(tmp_path / "killed")))
    records = [json.loads((tmp_path / out / "accord-merge.json").read_text()) for out in ("whole", "killed")]
    assert records[0] == records[1] and len(records[0]["kept_layers"]) == 2
    base, *opened = (open_checkpoint(root / name) for name in ("base", "alpha", "beta"))
    same(LayerPruning(TIES(0.3))(base, opened), dict(open_checkpoint(whole)))


def test_a_pruned_merge_is_mended_without_another_look(root, tmp_path):
    models = [root / name for name in ("alpha", "beta")]
    plan = plan_merge(LayerPruning(TIES(0.3)), root / "base", models, tmp_path / "out", shard_bytes=1000)
    first = min(plan.run().glob("*.safetensors"))
    before, record = first.read_bytes(), (tmp_path / "out" / "accord-merge.json").read_text()
    first.unlink()
    phases = []
    plan.mend(lambda done, whole, phase: phases.append(phase))
    assert first.read_bytes() == before and "ranking layers" not in phases
    assert (tmp_path / "out" / "accord-merge.json").read_text() == record


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("merge_method: ties", "merge_method: layer_pruning", "layer_pruning comes before a method"),
        ("keep: [0.5, 0.25, 1.0]", "kep: 0.5", "layer_pruning has no key 'kep'. Did you mean 'keep'"),
        ("keep: [0.5, 0.25, 1.0]", "keep: half", "keep is one number, or a list of one for each; got 'half'"),
        ("keep: [0.5, 0.25, 1.0]", "keep: true", "keep is one number"),
        ("keep: [0.5, 0.25, 1.0]", "keep: [0.5, 0.25]", "keep has 2 numbers for 3 models"),
        ("score: distinct", "score: magnitude", "no score 'magnitude'"),
        ("layer_pruning: {", "layer_pruning: 0.5 # {", "layer_pruning is a mapping"),
        ("merge_method: ties", "merge_method: karcher", "a pruned layer is the base's"),
    ],
)
def test_recipes_that_cannot_be_pruned_say_why(root, old, new, message):
    (root / "mistake.yaml").write_text(RECIPE.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        merge_recipe(root / "mistake.yaml", root / "mistake")


def test_slices_and_adapters_are_not_pruned(root):
    slices = (
        "slices: [{sources: [{model: alpha, layer_range: [0, 2]}]}]\nmerge_method: passthrough\nlayer_pruning: {}\n"
    )
    with pytest.raises(ConfigurationError, match="ranks the layers of whole models"):
        read_recipes(slices)
    adapters = f"models: [{root / 'lora'}]\nbase_model: base\nmerge_method: task_arithmetic\nlayer_pruning: {{}}\n"
    with pytest.raises(ConfigurationError, match="adapters alone do not hold: write each model as BASE\\+ADAPTER"):
        merge_recipe(adapters, root / "mistake")
    way_out = adapters.replace(str(root / "lora"), f"{root / 'base'}+{root / 'lora'}")
    merge_recipe(
        way_out.replace("base_model: base", f"base_model: {root / 'base'}\nparameters: {{weight: 1}}"), root / "w"
    )
