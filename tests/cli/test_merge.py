"""``accord merge``: the plan, the merge, a kill in the middle, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from tests.cli.conftest import COMMAND, Result
from tests.merging import recipe_zoo as zoo

from accord.merging import verify

Call = Callable[..., Result]
RECIPE = """\
models:
  - model: alpha
    parameters: {weight: 1.0, density: 0.5}
  - model: beta
    parameters: {weight: [0.1, 0.9], density: 0.5}
merge_method: ties
base_model: base
parameters: {int8_mask: true}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    zoo.write_zoo(tmp_path)
    (tmp_path / "ties.yaml").write_text(RECIPE)
    return tmp_path / "ties.yaml"


def test_the_plan_comes_first_and_alone_if_asked(inside: Call, recipe: Path, tmp_path: Path) -> None:
    shown = inside("merge", recipe, "out", "--dry-run", "--memory", "1GB", "--threads", "1").out
    for line in ("ties of base, alpha, beta", "at most", "1 thread", "in 1 file, float32", "int8_mask decides nothing"):
        assert line in shown
    assert not (tmp_path / "out").exists()
    facts = json.loads(inside("merge", recipe, "out", "--dry-run", "--json").out)
    (recipe.parent / "one.safetensors").write_bytes(save({"w": torch.ones(2)}))
    recipe.write_text("models: [one.safetensors]\nmerge_method: linear\nparameters: {weight: 1}\n")
    alone = inside("merge", recipe, "out", "--dry-run").out
    assert "(1 tensor)" in alone and "of 1 model\n" in alone
    assert facts["tensors"] == 23 and facts["bytes_out"] * 3 == facts["bytes_in"] and facts["seconds_about"] >= 0


def test_the_plan_says_what_is_in_the_way(inside: Call, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("mine")
    assert "but      taken is not empty: remove it" in inside("merge", recipe, "taken", "--dry-run", code=4).out
    (fact,) = json.loads(inside("merge", recipe, "taken", "--dry-run", "--json", code=4).out)["obstacles"]
    assert fact == "taken is not empty: remove it or choose another folder"
    inside("merge", recipe, "out")
    assert (
        "out is not empty; it holds this very merge, finished"
        in inside("merge", recipe, "out", "--dry-run", code=4).out
    )
    (tmp_path / "out" / "accord-merge.json").rename(tmp_path / "out" / ".accord-merge.json.unfinished")
    shown = inside("merge", recipe, "out", "--dry-run").out
    assert "was killed is there, and goes on" in shown and "but " not in shown
    assert "another, unfinished merge" in inside("merge", recipe, "out", "--dry-run", "--seed", "3", code=4).out


def test_the_plan_says_that_the_disk_is_too_small(inside: Call, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accord.cli.merges._free", lambda _: 1000)
    assert "of disk, and 1 kB are free" in inside("merge", recipe, "out", "--dry-run", code=4).out
    assert "of disk, and 1 kB are free" in inside("merge", recipe, "out", code=4).err


def test_a_front_that_is_only_planned_merges_nothing(
    inside: Call, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.write_text("models: [alpha, beta]\nmerge_method: linear\nparameters: {weight: 1}\n")
    words = ["merge", recipe, "front", "--front", "measure {} now", "--points", "5"]
    shown = inside(*words, "--dry-run").out
    assert "5 merges, the first measured by: measure front/solutions/000 now" in shown and "in 5 files" in shown
    facts = json.loads(inside(*words, "--dry-run", "--json").out)
    assert facts["preferences"] == [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]
    assert not (tmp_path / "front").exists()
    said = inside("merge", recipe, "front", "--front", "false", code=3).err
    assert said.index("memory   at most") < said.index("point 1 of 11")  # the same, before it is done
    monkeypatch.setattr("accord.cli.merges._free", lambda _: 1000)
    # 11 merges of 1,768 numbers of 4 bytes
    assert "other needs 77.8 kB of disk" in inside("merge", recipe, "other", "--front", "false", code=4).err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("words", "message"), [(["--report"], "--report"), (["--shard-size", "5GB"], "--shard-size")])
def test_options_of_one_merge_are_refused_for_a_front(
    inside: Call, recipe: Path, words: list[str], message: str, tmp_path: Path
) -> None:
    assert f"{message} is of one merge" in inside("merge", recipe, "front", "--front", "true", *words, code=2).err
    assert not (tmp_path / "front").exists()


def test_from_a_recipe_to_a_verified_result_with_its_report(inside: Call, recipe: Path, tmp_path: Path) -> None:
    found = inside("merge", recipe, "out", "--report", "--shard-size", "2KB")
    assert found.out == "out\n" and "ties of base, alpha, beta" in found.err
    assert verify(tmp_path / "out") == 23
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "tokenizer.json", "README.md", "accord-recipe.yaml", "merge.html", "merge.json"} <= written
    assert "not empty" in inside("merge", recipe, "out", code=4).err
    inside("merge", tmp_path / "out" / "accord-recipe.yaml", "again")
    digests = [json.loads((tmp_path / n / "accord-merge.json").read_text())["tensors"] for n in ("out", "again")]
    assert digests[0] == digests[1]


def test_steps_are_shown_and_run(inside: Call, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(f"name: first\n{RECIPE}---\n{RECIPE.replace('alpha', 'first')}")
    assert "planned when first is made" in inside("merge", recipe, "out", "--dry-run").out
    inside("merge", recipe, "out")
    assert verify(tmp_path / "out") == verify(tmp_path / "out.steps" / "first") == 23


def test_adapters_alone_make_an_adapter(inside: Call, recipe: Path, tmp_path: Path) -> None:
    zoo.write_adapter(tmp_path / "other", zoo.factors(6))
    recipe.write_text("models: [lora, other]\nmerge_method: linear\nparameters: {weight: 1}\nrank: 3\n")
    shown = inside("merge", recipe, "out", "--dry-run").out
    assert "rank     3 at most" in shown and "MB besides the page cache" in shown
    assert not (tmp_path / "out").exists()
    assert "the rank leaves out" in inside("merge", recipe, "out", "--report").err
    assert "Its rank of 3 leaves out" in (tmp_path / "out" / "merge.html").read_text()
    assert json.loads((tmp_path / "out" / "merge.json").read_text())["rank"] == 3
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file() and verify(tmp_path / "out") == 4
    assert "it holds this very merge, finished" in inside("merge", recipe, "out", "--dry-run", code=4).out
    assert "it holds this very merge, finished" in inside("merge", recipe, "out", code=4).err


def test_what_adapters_lack_is_said_before_anything_is_done(inside: Call, recipe: Path, tmp_path: Path) -> None:
    zoo.write_adapter(tmp_path / "other", zoo.factors(6))
    recipe.write_text("models: [lora, other]\nmerge_method: ties\n")
    assert "lora has no weight: give one" in inside("merge", recipe, "out", "--dry-run", code=2).err
    recipe.write_text("models: [lora, other]\nmerge_method: ties\nparameters: {weight: 1}\n")
    assert "has full rank: give the rank" in inside("merge", recipe, "out", "--dry-run", code=2).err
    recipe.write_text("models: [lora, other]\nmerge_method: linear\nparameters: {weight: 1}\n")
    (tmp_path / "file").write_text("")
    assert "file is a file, and the result of a merge is a folder" in inside("merge", recipe, "file", code=2).err


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
def test_a_merge_that_was_killed_goes_on(inside: Call, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    base = {f"layers.{n}.w": torch.randn(400, 400, generator=generator) for n in range(12)}
    for name in ("base", "alpha", "beta"):
        (tmp_path / name).mkdir()
        moved = {k: v if name == "base" else v + torch.randn(v.shape, generator=generator) for k, v in base.items()}
        save_file(moved, tmp_path / name / "model.safetensors")
    (tmp_path / "ties.yaml").write_text(RECIPE)
    words = ["merge", "ties.yaml", "out", "--shard-size", "600KB", "--threads", "1"]
    process = subprocess.Popen([COMMAND, *words], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 100
    while len(done := sorted(tmp_path.glob("out/model-*.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "out" / "accord-merge.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in done[:1]}
    inside(*words)
    assert verify(tmp_path / "out") == 12
    assert stamps and all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    inside("merge", "ties.yaml", "whole", "--shard-size", "600KB")
    digests = [json.loads((tmp_path / n / "accord-merge.json").read_text())["tensors"] for n in ("out", "whole")]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("absent.yaml",), "there is no recipe at absent.yaml"),
        (("ties.yaml", "--memory", "lots"), "--memory 'lots' is no size"),
        (("ties.yaml", "--memory", "9" * 400), "9' is no size"),
        (("ties.yaml", "--memory", "1MB"), "MB of memory besides the page cache"),
        (("ties.yaml", "--treads", "2"), "--threads"),
        (("ties.yaml", "--points", "5"), "--points is of a front: give --front"),
        (("ties.yaml", "--seed", "-1"), "seed is a whole number of 0 or more; got -1"),
    ],
)
def test_mistakes_are_explained(inside: Call, recipe: Path, words: tuple[str, ...], message: str) -> None:
    first, *rest = words
    assert message in inside("merge", first, "out", *rest, code=2).err


def test_merging_imports_no_transformers_and_help_no_torch(recipe: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from accord.cli import main; main(['merge', '--help']); assert 'torch' not in sys.modules; "
        "assert main(['merge', 'ties.yaml', 'out', '--report']) == 0; "
        "sys.exit(bool({'transformers', 'tokenizers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
