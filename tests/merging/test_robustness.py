"""Merges that are killed, starved or lied to: nothing that looks whole is left unless it is whole."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import xxhash
from safetensors.torch import load_file, save_file

from accord.errors import DataError, RunError
from accord.merging import TIES, Linear, TaskArithmetic, open_checkpoint, plan_merge, verify
from accord.merging.writing import ShardWriter

SHAPES = {"embed.weight": (300, 64), "layer.weight": (64, 64), "head.weight": (200, 64)}


def state(seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).bfloat16() for name, shape in SHAPES.items()}


@pytest.fixture
def zoo(tmp_path):
    for seed in range(3):
        save_file(state(seed), tmp_path / f"m{seed}.safetensors")
    return tmp_path


def plan(root, out="out", **options):
    models = [root / "m1.safetensors", root / "m2.safetensors"]
    return plan_merge(TaskArithmetic(), root / "m0.safetensors", models, root / out, shard_bytes=20_000, **options)


@pytest.mark.parametrize("where", ["thread", "process"])
def test_a_second_merge_into_the_same_folder_is_refused_while_the_first_one_runs(zoo, where):
    code = f"""
import sys
from accord.errors import RunError
from accord.merging import Linear, plan_merge
try:
    plan_merge(Linear(), None, [{str(zoo / "m1.safetensors")!r}], {str(zoo / "out")!r}).run()
except RunError as error:
    sys.exit(str(error))
"""
    refused = []

    def watch(done, total, phase):
        if refused:
            return
        if where == "process":
            refused.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr)
        else:
            with pytest.raises(RunError) as caught:
                plan(zoo).run()
            refused.append(str(caught.value))

    plan(zoo, threads=1).run(watch)
    assert "another merge is writing" in refused[0] and "out at this moment" in refused[0]
    assert verify(zoo / "out") == 3


@pytest.mark.parametrize("change", ["cut", "grown", "gone", "written anew"])
def test_an_input_that_changes_under_the_merge_is_named(zoo, change):
    path = zoo / "m2.safetensors"
    content = path.read_bytes()

    spoilt = []

    def spoil(done, total, phase):
        if not spoilt:
            path.unlink()  # the mapping keeps the old file, so that reading goes on
            if change != "gone":
                path.write_bytes({"cut": content[:-2], "grown": content + b"0", "written anew": content}[change])
                os.utime(path, ns=(1, 1))
            spoilt.append(done)

    with pytest.raises(DataError, match=r"m2\.safetensors was changed or cut short while"):
        plan(zoo, threads=1).run(spoil)
    assert not (zoo / "out" / "accord-merge.json").exists() and not list((zoo / "out").glob("model-*"))


def test_an_input_that_changed_since_the_plan_is_not_read(zoo):
    job = plan(zoo)
    path = zoo / "m1.safetensors"
    os.truncate(path, path.stat().st_size // 2)  # reading on would end the process
    with pytest.raises(DataError, match=r"m1\.safetensors was changed or cut short"):
        job.run()


def test_records_of_another_version_are_refused_by_name(zoo):
    out = plan_merge(Linear(), None, [zoo / "m1.safetensors"], zoo / "out").run()
    record = json.loads((out / "accord-merge.json").read_text())
    assert record.pop("version") == 2
    (out / "accord-merge.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"record of version 1, and this Accord reads version 2"):
        verify(out)


def test_checksums_are_those_of_xxh3(zoo):
    out = plan_merge(Linear(), None, [zoo / "m1.safetensors"], zoo / "out").run()
    told = json.loads((out / "accord-merge.json").read_text())["tensors"]
    for name, tensor in load_file(out / "model.safetensors").items():
        assert told[name] == xxhash.xxh3_128_hexdigest(tensor.view(torch.uint8).numpy().tobytes())


KILLED = """
import os, signal, sys
from accord.merging import TaskArithmetic, plan_merge
root = sys.argv[1]
job = plan_merge(TaskArithmetic(), f"{root}/m0.safetensors", [f"{root}/m1.safetensors", f"{root}/m2.safetensors"],
                 f"{root}/out", shard_bytes=20_000, threads=1)
def watch(done, total, phase):
    if done > 45_000:
        os.kill(os.getpid(), signal.SIGKILL)
job.run(watch)
"""


def test_a_process_killed_outright_leaves_what_the_next_one_goes_on_from(zoo):
    child = subprocess.run([sys.executable, "-c", KILLED, str(zoo)], check=False)
    assert child.returncode == -signal.SIGKILL
    out = zoo / "out"
    assert not (out / "model.safetensors.index.json").exists() and not (out / "accord-merge.json").exists()
    with pytest.raises(DataError, match="one of several shards"):
        open_checkpoint(out)  # nobody can take it for a model
    (first,) = out.glob("model-*.safetensors")
    stamp = first.stat().st_mtime_ns
    plan(zoo).run()
    plan(zoo, "fresh").run()
    assert first.stat().st_mtime_ns == stamp and verify(out) == 3 and not list(out.glob(".*"))
    merged, fresh = open_checkpoint(out), open_checkpoint(zoo / "fresh")
    assert all(torch.equal(merged[name], fresh[name]) for name in SHAPES)


def interrupted(zoo, monkeypatch):
    """Return the one shard that a merge finished before it was interrupted."""
    original, seen = ShardWriter.put, []

    def put(self, entry, start, values):
        seen.append(self.shard.file)
        if len(set(seen)) > 1:
            raise KeyboardInterrupt
        original(self, entry, start, values)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ShardWriter, "put", put)
        plan(zoo, threads=1).run()
    (first,) = (zoo / "out").glob("model-*.safetensors")
    return first


@pytest.mark.parametrize("damage", ["zeros", "cut", "gone", "other tensors"])
def test_a_finished_shard_that_was_damaged_since_is_made_again(zoo, monkeypatch, damage):
    first = interrupted(zoo, monkeypatch)
    content = first.read_bytes()
    if damage == "zeros":  # as after a power cut: the size is right and the content never came
        first.write_bytes(b"\0" * len(content))
    elif damage == "cut":
        first.write_bytes(content[:-9])
    elif damage == "gone":
        first.unlink()
    else:
        first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    plan(zoo).run()
    assert first.read_bytes() == content and verify(zoo / "out") == 3


def test_an_interrupted_merge_starts_anew_if_an_input_was_changed(zoo, monkeypatch):
    interrupted(zoo, monkeypatch)
    save_file(state(9), zoo / "m2.safetensors")
    with pytest.raises(RunError, match="another, unfinished merge"):
        plan(zoo).run()


@pytest.mark.parametrize(
    ("room", "said"), [(25_000, r"the same again\.$"), (45_000, r"again\. 1 of 3 files of weights .* goes on")]
)
def test_a_disk_that_fills_up_on_the_way(zoo, monkeypatch, room, said):
    """Where space cannot be reserved, as on some network disks, the end comes in the middle of a tensor."""
    real = os.pwrite
    left = [room]

    def pwrite(file, content, place):
        if len(content) > left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= len(content)
        return real(file, content, place)

    with monkeypatch.context() as patch, pytest.raises(RunError, match=f"could not write .*No space left.*{said}"):
        patch.setattr("accord.merging.writing.os.pwrite", pwrite)
        plan(zoo).run()
    out = zoo / "out"
    assert not list(out.glob("model-*")) or not (out / "model.safetensors.index.json").exists()
    assert not list(out.glob(".model*")) and not (out / "accord-merge.json").exists()
    assert verify(plan(zoo).run()) == 3


def test_what_counts_as_finished_is_on_the_record(zoo, monkeypatch):
    """The disk is full when the second file is whole and its checksums are not written down yet."""
    from accord.merging import manifest

    real = manifest.write

    def write(path, record):
        if len(record["tensors"]) == 2:
            raise RunError("could not write the record.")
        real(path, record)

    with (
        monkeypatch.context() as patch,
        pytest.raises(RunError, match=r"record\. 1 of 3 files of weights are finished"),
    ):
        patch.setattr("accord.merging.manifest.write", write)
        plan(zoo).run()
    assert verify(plan(zoo).run()) == 3


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="Linux has a folder that not even root can write to")
def test_an_output_that_is_read_only(zoo):
    models = [zoo / "m1.safetensors"]
    with pytest.raises(RunError, match=r"could not write /sys/kernel/accord.*permissions"):
        plan_merge(Linear(), None, models, "/sys/kernel/accord").run()


def test_tensors_of_other_shapes_are_named_with_their_files(zoo):
    odd = state(1)
    odd["layer.weight"] = odd["layer.weight"][:, :32].contiguous()
    save_file(odd, zoo / "m1.safetensors")
    with pytest.raises(DataError, match=r"layer.weight is \[64, 32\] in .*m1\.safetensors and \[64, 64\] in .*m0"):
        plan(zoo)
    assert not (zoo / "out").exists()


def test_a_shard_cut_short_is_named_before_anything_is_written(zoo):
    folder = zoo / "sharded"
    folder.mkdir()
    parts = {"one.safetensors": ["embed.weight"], "two.safetensors": ["layer.weight", "head.weight"]}
    for file, names in parts.items():
        save_file({name: state(1)[name] for name in names}, folder / file)
    where = {name: file for file, names in parts.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    whole = (folder / "two.safetensors").read_bytes()
    (folder / "two.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"two\.safetensors is damaged, cut short"):
        plan_merge(TIES(), zoo / "m0.safetensors", [folder], zoo / "out")
    assert not (zoo / "out").exists()


@pytest.mark.parametrize("change", ["changed byte", "missing tensor", "more tensors", "unfinished"])
def test_verification_names_what_is_wrong(zoo, change):
    out = plan_merge(Linear(), None, [zoo / "m1.safetensors", zoo / "m2.safetensors"], zoo / "out").run()
    file = out / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    if change == "changed byte":
        tensors["layer.weight"][3, 5] += 1
        message = "layer.weight in .* bytes have changed"
    elif change == "missing tensor":
        del tensors["head.weight"]
        message = "lacks tensor head.weight"
    elif change == "more tensors":
        tensors["probe"] = torch.ones(2)
        message = "unknown tensor probe"
    else:
        (out / "accord-merge.json").rename(out / ".accord-merge.json.unfinished")
        message = "was not finished"
    save_file(tensors, file)
    with pytest.raises(RunError, match=message):
        verify(out)
