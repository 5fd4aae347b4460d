"""The report of a merge of adapters: its numbers against dense ones, lengths instead of shares, what the rank costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.merging import recipe_zoo as zoo
from tests.reporting.test_merge_page import Balance, rows_of

import accord
from accord.errors import DataError
from accord.merging import begin_job, merge_recipe, open_adapter
from accord.reporting import write_merge
from accord.reporting.merging.page import merge_page

MODULES = {f"model.layers.{n}.{m}": shape for n in range(3) for m, shape in (("q_proj", (9, 8)), ("up", (20, 8)))}
ONLY_POLITE = "model.layers.2.up"


def factors(seed: int, rank: int, skip: str = "") -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return {
        module: (torch.randn(rank, width, generator=generator), torch.randn(rows, rank, generator=generator))
        for module, (rows, width) in MODULES.items()
        if module != skip
    }


def dense(folder: Path) -> dict[str, np.ndarray]:
    """Every change multiplied out by hand, 0 where the adapter has none."""
    opened = open_adapter(folder).modules
    return {
        module: opened[module].scale * (opened[module].b.double() @ opened[module].a.double()).numpy()
        if module in opened
        else np.zeros(shape)
        for module, shape in MODULES.items()
    }


def recipe(root: Path, **more: Any) -> dict[str, Any]:
    models = [{"model": f"{root}/{n}", "parameters": {"weight": w}} for n, w in (("polite", 0.7), ("short", 0.5))]
    return {"models": models, "merge_method": "linear", "parameters": {"normalize": False}, **more}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    zoo.write_adapter(root / "polite", factors(1, 3), base_model_name_or_path="org/base")
    zoo.write_adapter(root / "short", factors(2, 2, ONLY_POLITE), lora_alpha=9, base_model_name_or_path="org/base")
    return root


@pytest.fixture(scope="module")
def reported(root: Path) -> tuple[dict[str, Any], str]:
    job = begin_job(recipe(root, rank=4), root / "out")
    plan = job.plan(job.recipes[0])
    with pytest.raises(DataError, match="holds no finished merge"):
        write_merge(plan)
    told = []
    plan.run()
    page = write_merge(plan, progress=lambda *each: told.append(each))
    assert told[0][0] == 0 and told[-1][0] == told[-1][1] and {phase for *_, phase in told} == {"comparing"}
    return json.loads(page.with_suffix(".json").read_text()), page.read_text()


def expected(changes: list[np.ndarray], merged: np.ndarray) -> dict[str, Any]:
    """What is said of some modules together, from dense vectors."""
    lengths = [np.linalg.norm(change) for change in changes]
    sizes = [np.abs(change) for change in changes]
    both = (changes[0] != 0) & (changes[1] != 0)
    lost = (sizes[0] + sizes[1] - np.abs(changes[0] + changes[1])).sum()
    against = [size[change * merged <= 0].sum() for size, change in zip(sizes, changes, strict=True)]
    return {
        "lengths": lengths,
        "merged_length": np.linalg.norm(merged),
        "cosine": changes[0] @ changes[1] / lengths[0] / lengths[1] if all(lengths) else None,
        "kept": [merged @ c / (c @ c) if length else None for c, length in zip(changes, lengths, strict=True)],
        "conflict": np.mean(changes[0][both] * changes[1][both] < 0) if both.any() else None,
        "before": lost / (sizes[0] + sizes[1]).sum(),
        "after": sum(against) / (sizes[0] + sizes[1]).sum(),
    }


def flat(changes: dict[str, np.ndarray], modules: list[str]) -> np.ndarray:
    return np.concatenate([changes[module].ravel() for module in modules])


def close(told: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = {**told, "cosine": told["cosines"][0][1]}
    for name in ("lengths", "kept", "conflict", "merged_length", "cosine"):
        known, numbers = (np.array(each[name], dtype=np.float64) for each in (found, wanted))  # NaN for None
        np.testing.assert_allclose(known, numbers, rtol=1e-4)
    assert told["interference"] == pytest.approx({k: wanted[k] for k in ("before", "after")}, rel=1e-4)


def test_the_numbers_are_those_of_dense_changes(root: Path, reported: tuple[dict[str, Any], str]) -> None:
    facts, _ = reported
    inputs, merged = [dense(root / name) for name in ("polite", "short")], dense(root / "out")
    for told, modules in [
        (facts["total"], list(MODULES)),
        (facts["layers"][1], ["model.layers.1.q_proj", "model.layers.1.up"]),
        (next(k for k in facts["kinds"] if k["kind"] == "up.weight"), [m for m in MODULES if m.endswith("up")]),
        (next(t for t in facts["tensors"] if t["name"] == f"{ONLY_POLITE}.weight"), [ONLY_POLITE]),
    ]:
        close(told, expected([flat(each, modules) for each in inputs], flat(merged, modules)))
        assert told["moved"] == [None, None] and told["merged"] is None  # there is no base to measure by
    assert facts["reference"] == "nothing" and facts["base"] == "org/base"
    assert [(m["name"], m["rank"]) for m in facts["models"]] == [("polite", 3), ("short", 2)] and facts["rank"] == 4


def test_what_the_rank_leaves_out_is_told_of_every_part(root: Path, reported: tuple[dict[str, Any], str]) -> None:
    facts, page = reported
    polite, short = (dense(root / name) for name in ("polite", "short"))
    whole = {module: 0.7 * polite[module] + 0.5 * short[module] for module in MODULES}
    values = {module: np.linalg.svd(change, compute_uv=False) for module, change in whole.items()}

    def lost(modules: list[str]) -> float:
        gone = sum((values[module][4:] ** 2).sum() for module in modules)
        return float(np.sqrt(gone / sum((values[module] ** 2).sum() for module in modules)))

    assert facts["total"]["left_out"] == pytest.approx(lost(list(MODULES)), rel=1e-4)
    for told in facts["tensors"]:
        assert told["left_out"] == pytest.approx(lost([told["name"].removesuffix(".weight")]), rel=1e-4, abs=1e-6)
    for told in facts["layers"]:
        modules = [m for m in MODULES if m.startswith(f"model.layers.{told['layer']}.")]
        assert told["left_out"] == pytest.approx(lost(modules), rel=1e-4)
    worst = max(MODULES, key=lambda module: lost([module]))
    assert rows_of(page, "What the rank leaves out")[0][:2] == [worst, f"{100 * lost([worst]):.1f} %"]
    assert f"Its rank of 4 leaves out {lost(list(MODULES)):.2%}" in page


def test_the_page_is_whole_and_measures_in_lengths(root: Path, reported: tuple[dict[str, Any], str]) -> None:
    facts, page = reported
    parser = Balance()
    parser.feed(page)
    assert not parser.open and facts["paragraph"] in page
    # Lengths, kept, cosines, signs, rank by layer, and all cosines together.
    assert page.count("<figure") == 6
    first, _, last = rows_of(page, "What each adapter brought")
    length = np.linalg.norm(flat(dense(root / "polite"), list(MODULES)))
    assert first[0] == "polite" and float(first[1]) == pytest.approx(length, rel=5e-3)
    assert last[0] == "the merge" and last[2] == "100 %"
    shown = rows_of(page, "Length of each change, model.layers")
    merged = dense(root / "out")
    assert [float(row[3]) for row in shown] == pytest.approx(
        [np.linalg.norm(flat(merged, [m for m in MODULES if f".{layer}." in m])) for layer in range(3)], rel=5e-3
    )


def test_an_exact_sum_has_nothing_left_out(root: Path, tmp_path: Path) -> None:
    out = accord.merge(recipe(root), tmp_path / "exact", report=True)
    facts, page = json.loads((out / "merge.json").read_text()), (out / "merge.html").read_text()
    assert facts["total"]["left_out"] == 0.0 and facts["rank"] == 5
    assert "Its rank of 5 holds the merged change exactly." in page and "What the rank leaves out" not in page


def test_methods_that_drop_numbers_are_looked_at_as_they_are_stored(root: Path, tmp_path: Path) -> None:
    given = {"models": [str(root / n) for n in ("polite", "short")], "merge_method": "accord.TIES", "rank": 5}
    out = accord.merge({**given, "parameters": {"density": 0.3}}, tmp_path / "ties", report=True)
    facts = json.loads((out / "merge.json").read_text())
    inputs, merged = [dense(root / name) for name in ("polite", "short")], dense(out)
    close(facts["total"], expected([flat(each, list(MODULES)) for each in inputs], flat(merged, list(MODULES))))


def test_results_of_before_do_not_tell_what_is_left_out(root: Path, tmp_path: Path) -> None:
    out = merge_recipe(recipe(root, rank=4), tmp_path / "old")
    record = json.loads((out / "accord-merge.json").read_text())
    del record["rank"]
    (out / "accord-merge.json").write_text(json.dumps(record))
    job = begin_job(recipe(root, rank=4), out)
    page = write_merge(job.plan(job.recipes[0])).read_text()
    facts = json.loads((out / "merge.json").read_text())
    assert facts["total"]["left_out"] is None and "leaves out" not in page and facts["total"]["kept"][0] > 0


def test_adapters_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for parent, seed in (("a", 1), ("b", 2)):
        (tmp_path / parent).mkdir()
        zoo.write_adapter(tmp_path / parent / "lora", factors(seed, 2))
    twice = [str(tmp_path / "a" / "lora"), str(tmp_path / "b" / "lora"), str(tmp_path / "b" / "lora")]
    given = {"models": twice, "merge_method": "linear", "parameters": {"weight": 1}}
    out = accord.merge(given, tmp_path / "out", report=True)
    facts = json.loads((out / "merge.json").read_text())
    assert facts["total"]["models"] == [twice[0], twice[1], f"{twice[1]} (2)"]
    assert facts["total"]["cosines"][1][2] == pytest.approx(1.0)


def test_a_result_that_is_not_that_merges_is_refused(root: Path, tmp_path: Path) -> None:
    out = merge_recipe(recipe(root, rank=4), tmp_path / "out")
    job = begin_job(recipe(root, rank=4), out)
    plan = job.plan(job.recipes[0])
    zoo.write_adapter(tmp_path / "other", factors(3, 2, ONLY_POLITE))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "other" / name).replace(out / name)
    with pytest.raises(DataError, match=rf"does not change {ONLY_POLITE}, which its inputs do"):
        write_merge(plan)


def test_names_cannot_become_code(reported: tuple[dict[str, Any], str]) -> None:
    evil = json.loads(json.dumps(reported[0]).replace("polite", "<script>alert(1)</script>"))
    assert "<script>alert" not in merge_page(evil)
