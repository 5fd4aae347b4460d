"""The small files of a result are checked as its tensors are: configuration, tokenizer, index, recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xxhash
from tests.merging import recipe_zoo as zoo

from accord.errors import RunError
from accord.merging import Linear, RecipePlan, begin_job, merge_recipe, plan_merge, verify

MANIFEST = "accord-merge.json"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    zoo.write_zoo(tmp_path)
    (tmp_path / "base" / "LICENSE").write_text("as it is")
    return tmp_path


def recipe(root: Path, *names: str, **more: object) -> dict[str, object]:
    models = [{"model": str(root / name) if (root / name).exists() else name} for name in names]
    return {"models": models, "merge_method": "linear", "parameters": {"weight": 0.5}, **more}


def made(root: Path, *names: str, **more: object) -> Path:
    job = begin_job(recipe(root, *names, **more), root / "out", shard_bytes=2000)
    job.plan(job.recipes[0]).run()
    return root / "out"


def flip(path: Path) -> None:
    """Change one bit in the middle; what is JSON mostly stays so."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_small_file_but_the_card_has_its_checksum(root: Path) -> None:
    out = made(root, "base", "alpha")
    told = json.loads((out / MANIFEST).read_text())["files"]
    assert set(told) == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "LICENSE",
        "accord-recipe.yaml",
        INDEX,
    }
    for name, checksum in told.items():
        assert checksum == xxhash.xxh3_128_hexdigest((out / name).read_bytes())


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "LICENSE", "accord-recipe.yaml", INDEX])
def test_damage_to_a_small_file_is_named(root: Path, name: str) -> None:
    out = made(root, "base", "alpha")
    count = verify(out)
    flip(out / name)
    with pytest.raises(RunError, match=rf"{name} is not what the merge wrote: its bytes have changed"):
        verify(out)
    (out / name).unlink()
    with pytest.raises(RunError, match=f"out lacks {name}"):
        verify(out)
    record = json.loads((out / MANIFEST).read_text())
    del record["files"][name]  # the way out that the message names, for those who did it themselves
    (out / MANIFEST).write_text(json.dumps(record))
    if name != INDEX:
        assert verify(out) == count


def test_what_people_edit_or_add_is_theirs(root: Path) -> None:
    out = made(root, "base", "alpha")
    (out / "README.md").write_text("Ours is the best.")
    (out / "merge.html").write_text("a report")
    (out / "notes.txt").write_text("evaluate on Monday")
    assert verify(out) == 23


def test_records_without_checksums_of_small_files_speak_for_the_tensors(root: Path) -> None:
    out = made(root, "base", "alpha")
    record = json.loads((out / MANIFEST).read_text())
    del record["files"]
    (out / MANIFEST).write_text(json.dumps(record))
    flip(out / "config.json")
    assert verify(out) == 23


@pytest.mark.parametrize("name", ["../base/config.json", "/etc/hostname"])
def test_a_record_cannot_have_other_folders_read(root: Path, name: str) -> None:
    out = made(root, "base", "alpha")
    record = json.loads((out / MANIFEST).read_text())
    record["files"] = {name: ""}
    (out / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(RunError, match="no file of that folder"):
        verify(out)
    record["files"] = ["config.json"]
    (out / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(RunError, match="no record of a merge"):
        verify(out)


def test_a_plan_without_a_recipe_has_them_too(root: Path) -> None:
    out = plan_merge(Linear(), None, [root / "alpha", root / "beta"], root / "out").run()
    flip(out / "tokenizer.json")
    with pytest.raises(RunError, match=r"tokenizer\.json is not what the merge wrote"):
        verify(out)


def test_an_adapters_configuration_is_checked(root: Path) -> None:
    zoo.write_adapter(root / "other", zoo.factors(6))
    out = made(root, "lora", "other")
    assert verify(out) == 4
    config = json.loads((out / "adapter_config.json").read_text())
    (out / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 2 * config["lora_alpha"]}))
    with pytest.raises(RunError, match=r"adapter_config\.json is not what the merge wrote"):
        verify(out)


def test_a_merge_that_goes_on_writes_them_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("accord.merging.merge_files.index_text", cut)
        made(root, "base", "alpha")
    (root / "out" / "config.json").write_text("{}")  # of a run that never finished
    assert verify(made(root, "base", "alpha")) == 23


def test_a_finished_merge_says_what_became_of_it(root: Path) -> None:
    out = made(root, "base", "alpha")
    with pytest.raises(RunError, match="it holds this very merge, finished: remove"):
        made(root, "base", "alpha")
    flip(out / "config.json")
    with pytest.raises(RunError, match=r"finished, but .*config\.json is not what the merge wrote"):
        made(root, "base", "alpha")


def test_a_finished_merge_without_its_weights_says_so(root: Path) -> None:
    shard = min(made(root, "base", "alpha").glob("*.safetensors"))
    shard.unlink()
    with pytest.raises(RunError, match=rf"finished, but there is no file .*{shard.name}"):
        made(root, "base", "alpha")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_step_is_not_built_upon(root: Path, name: str) -> None:
    steps = [recipe(root, "base", "alpha", name="first"), recipe(root, "first", "beta")]
    text = "---\n".join(json.dumps(step) + "\n" for step in steps)
    first = merge_recipe(text, root / "out").with_name("out.steps") / "first"
    flip(first / name)
    with pytest.raises(
        RunError, match=r"(bytes have changed|damaged).*; the step is taken again when .*first is removed"
    ):
        merge_recipe(text, root / "out")


def test_only_what_is_not_whole_is_mended(root: Path) -> None:
    job = begin_job(recipe(root, "base", "alpha"), root / "out", shard_bytes=2000)
    plan = job.plan(job.recipes[0])
    assert isinstance(plan, RecipePlan)
    with pytest.raises(RunError, match="does not hold this merge, finished"):
        (root / "out").mkdir()
        plan.mend()
    out = plan.run()
    lost, changed, *others = sorted(out.glob("*.safetensors"))
    (out / "README.md").write_text("mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    times = [path.stat().st_mtime_ns for path in others]
    lost.unlink()
    flip(changed)
    flip(out / "tokenizer.json")
    plan.mend()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.stat().st_mtime_ns for path in others] == times and len(others) > 1
    job = begin_job(recipe(root, "base", "beta"), root / "out", shard_bytes=2000)
    with pytest.raises(RunError, match="does not hold this merge, finished"):
        job.plan(job.recipes[0]).mend()  # type: ignore[union-attr]


def test_mending_that_fails_can_be_begun_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_merge(Linear(), None, [root / "alpha", root / "beta"], root / "out")
    shard = plan.run() / "model.safetensors"
    kept = shard.read_bytes()
    flip(shard)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(RunError, match="No space left"):
        patch.setattr("accord.merging.writing._reserve", full)
        plan.mend()
    plan.mend()
    assert shard.read_bytes() == kept and verify(root / "out")


def test_steps_of_adapters_are_taken_once(root: Path) -> None:
    zoo.write_adapter(root / "other", zoo.factors(6))
    steps = [recipe(root, "lora", "other", name="first"), recipe(root, "first", "lora", rank=3)]
    job = begin_job("---\n".join(json.dumps(step) + "\n" for step in steps), root / "out")
    assert not job.finished(job.recipes[0])
    job.plan(job.recipes[0]).run()
    assert job.finished(job.recipes[0])
    job.plan(job.recipes[1]).run()
    assert verify(root / "out") == verify(root / "out.steps" / "first") == 4
