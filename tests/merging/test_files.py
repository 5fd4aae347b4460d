"""Checkpoints on disk: read lazily, written whole, resumed, verified; bad ones are refused."""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from accord.errors import ConfigurationError, DataError, RunError
from accord.merging import (
    DARE,
    SLERP,
    TIES,
    Linear,
    TaskArithmetic,
    merge_recipe,
    open_adapter,
    open_checkpoint,
    plan_merge,
    verify,
)
from accord.merging.writing import ShardWriter


def state(seed, base=None):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed.weight": (300, 64), "layer.weight": (64, 64), "layer.bias": (64,), "empty": (0, 4)}
    if base is None:
        return {k: torch.randn(s, generator=generator).bfloat16() for k, s in shapes.items()}
    return {k: (v.float() + torch.randn(v.shape, generator=generator)).bfloat16() for k, v in base.items()}


@pytest.fixture
def zoo(tmp_path):
    base = state(0)
    states = [base, state(1, base), state(2, base)]
    for place, tensors in enumerate(states):
        folder = tmp_path / f"m{place}"
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text('{"model_type": "x", "torch_dtype": "bfloat16"}')
        (folder / "modeling_x.py").write_text("raise SystemExit")
    return tmp_path, states


def plan(root, method, out="out", models=(1, 2), base=0, **options):
    sources = [root / f"m{i}" for i in models]
    return plan_merge(method, None if base is None else root / f"m{base}", sources, root / out, **options)


@pytest.mark.parametrize("method", [TaskArithmetic(), TIES(), DARE(), SLERP()], ids=repr)
@pytest.mark.parametrize("shard_bytes", [2_000_000_000, 9000])
def test_the_disk_gives_the_bits_of_memory(zoo, method, shard_bytes):
    root, states = zoo
    base = None if isinstance(method, SLERP) else 0
    out = plan(root, method, base=base, shard_bytes=shard_bytes, threads=2).run()
    expected = method(None if base is None else states[0], states[1:])
    merged = open_checkpoint(out)
    assert set(merged) == set(expected)
    assert all(torch.equal(merged[name], expected[name]) for name in expected)
    assert verify(out) == len(expected)
    assert (out / "model.safetensors.index.json").exists() == (shard_bytes == 9000)
    assert json.loads((out / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert not (out / "modeling_x.py").exists() and not list(out.glob(".*"))


def test_threads_change_nothing(zoo):
    root, _ = zoo
    digests = [
        json.loads((plan(root, DARE(merge="ties"), f"o{n}", threads=n).run() / "accord-merge.json").read_text())[
            "tensors"
        ]
        for n in (1, 3)
    ]
    assert digests[0] == digests[1]


def test_what_others_read(zoo):
    root, states = zoo
    out = plan(root, Linear(), base=None, models=(1,)).run()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in load_file(out / "model.safetensors").items())


def test_a_merge_that_was_killed_goes_on(zoo, monkeypatch):
    root, _ = zoo
    written = []
    original = ShardWriter.put

    def put(self, entry, start, values):
        if len(written) == 1 and entry.name not in written:
            raise KeyboardInterrupt
        written.append(entry.name)
        original(self, entry, start, values)

    job = plan(root, TaskArithmetic(), shard_bytes=9000, threads=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ShardWriter, "put", put)
        job.run()
    out = root / "out"
    assert not (out / "model.safetensors.index.json").exists() and not (out / "accord-merge.json").exists()
    with pytest.raises(RunError, match="not finished"):
        verify(out)
    first = next(iter(out.glob("model-*")))
    stamp = first.stat().st_mtime_ns
    plan(root, TaskArithmetic(), shard_bytes=9000).run()
    assert first.stat().st_mtime_ns == stamp and verify(out) == 4


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", "", "is empty"),
        ("tokenizer.model", "", "is empty"),
        ("config.json", '{"model_type": ', "is no JSON"),
        ("tokenizer_config.json", "<html>", "is no JSON"),
    ],
)
def test_small_files_that_are_damaged_do_not_become_the_results(zoo, file, content, message):
    root, _ = zoo
    (root / "m0" / file).write_text(content)
    with pytest.raises(DataError, match=rf"{file} {message}"):
        plan(root, TaskArithmetic())
    recipe = {"models": [str(root / f"m{n}") for n in (1, 2)], "base_model": str(root / "m0")}
    with pytest.raises(DataError, match=rf"{file} is (empty|no JSON)"):
        merge_recipe({**recipe, "merge_method": "model_stock"}, root / "out")
    assert not (root / "out").exists()
    plan(root, Linear(), base=None, out="fine").run()


def test_an_unfinished_merge_of_something_else_is_left_alone(zoo):
    root, _ = zoo
    (root / "out").mkdir()
    (root / "out" / ".accord-merge.json.unfinished").write_text('{"version": 2, "fingerprint": "x", "tensors": {}}')
    with pytest.raises(RunError, match="another, unfinished merge"):
        plan(root, TaskArithmetic()).run()


def test_a_folder_with_anything_in_it_is_left_alone(zoo):
    root, _ = zoo
    with pytest.raises(RunError, match="not empty"):
        plan(root, TaskArithmetic(), out="m1").run()


def test_verification_finds_a_changed_byte(zoo):
    root, _ = zoo
    out = plan(root, TaskArithmetic()).run()
    with (out / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    with pytest.raises(RunError, match="bytes have changed"):
        verify(out)


def header(record, data=b"", size=None):
    text = json.dumps(record).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


WHOLE = header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8)
OVERLAP = header(
    {n: {"dtype": "F32", "shape": [2], "data_offsets": [s, s + 8]} for n, s in (("a", 0), ("b", 4))}, b"\0" * 12
)


@pytest.mark.parametrize(
    "content",
    [b"", b"\1", WHOLE[:-3], OVERLAP, header({}, size=2**62), header({"w": {"dtype": "F99"}}), b"\x80\x04K\x01." * 9],
    ids=["0 bytes", "1 byte", "truncated", "overlapping", "header overflow", "unknown type", "no header"],
)
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.safetensors is"):
        open_checkpoint(tmp_path)


def sharded(folder, weight_map):
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, folder / "one.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "one.safetensors"}, "does not list b"),
        ({"a": "one.safetensors", "b": "one.safetensors", "c": "one.safetensors"}, "says that c is in"),
        ({"a": "two.safetensors"}, "no file .*two"),
        ({"a": "../one.safetensors"}, "own folder"),
        ({"a": "/etc/passwd"}, "own folder"),
        ({"a": "..\\one.safetensors"}, "own folder"),
        ({"a": 3}, "own folder"),
        ({}, "no tensors"),
        ([], "no tensors"),
    ],
)
def test_wrong_indexes_are_explained(tmp_path, weight_map, message):
    sharded(tmp_path, weight_map)
    with pytest.raises(DataError, match=message):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_pointers_of_git_are_named(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(DataError, match="is a pointer of Git LFS, and not the file itself"):
        open_checkpoint(path)


def test_pytorch_files_are_read_safely(tmp_path):
    torch.save({"state_dict": {"w": torch.arange(3.0)}}, tmp_path / "pytorch_model.bin")
    assert open_checkpoint(tmp_path)["w"].tolist() == [0.0, 1.0, 2.0]


class Malice:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def test_code_in_a_pickle_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Malice()}, "evil.bin")
    with pytest.raises(DataError, match="more than tensors"):
        open_checkpoint("evil.bin")
    assert not Path("pwned").exists()


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"PK\3\4 rubbish", "damaged|format|more than")])
def test_damaged_pytorch_files(tmp_path, content, message):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_checkpoint(tmp_path / "x.pt")


def test_a_pytorch_file_of_something_else(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "x.pt")
    with pytest.raises(DataError, match="no dictionary"):
        open_checkpoint(tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch announces the end of its quantised tensors
@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse"),
        (lambda: torch.empty(2, device="meta"), "without content"),
        (lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8), "quantised"),
    ],
)
def test_tensors_of_pytorch_files_that_are_not_plain_are_named(tmp_path, made, kind):
    torch.save({"w": made()}, tmp_path / "x.pt")
    with pytest.raises(DataError, match=f"w of .*x.pt is {kind}"):
        open_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64, torch.complex64]
)
def test_what_all_share_is_copied_whatever_its_type(tmp_path, dtype):
    held = torch.tensor([1.0, 0.0, 2.0]).to(dtype)
    for name in "ab":
        save_file({"w": torch.ones(2), "table": held}, tmp_path / f"{name}.safetensors")
    out = plan_merge(Linear(), None, [tmp_path / "a.safetensors", tmp_path / "b.safetensors"], tmp_path / "out").run()
    merged = open_checkpoint(out)
    assert merged["table"].dtype == dtype and verify(out) == 2
    assert torch.equal(merged["table"].view(torch.uint8), held.view(torch.uint8))


def test_a_type_that_no_file_has_is_named(tmp_path):
    state = {"w": torch.ones(2, dtype=torch.complex128)}
    with pytest.raises(DataError, match="w is of the type complex128, which safetensors files do not have"):
        plan_merge(Linear(), None, [state, dict(state)], tmp_path / "out")


def test_no_checkpoint_there(tmp_path):
    with pytest.raises(DataError, match="nothing is downloaded"):
        open_checkpoint("someone/some-model")
    with pytest.raises(DataError, match="0 checkpoint files"):
        open_checkpoint(tmp_path)
    for path in ("~nobody-of-that-name/x", "x" * 5000):
        for opened in (open_checkpoint, open_adapter):
            with pytest.raises(DataError, match=path[:200]):
                opened(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux limits on file sizes")
def test_a_full_disk_leaves_nothing_that_looks_whole(zoo):
    root, _ = zoo
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    job = plan(root, TaskArithmetic())
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(
            RunError, match=r"could not write \S+model\.safetensors: [\w ]+\. Free some space .* again\.$"
        ):
            job.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list((root / "out").glob("*safetensors*")) and not (root / "out" / "accord-merge.json").exists()
    assert verify(job.run()) == 4


def test_an_output_that_cannot_be_written(zoo):
    root, _ = zoo
    (root / "file").write_text("")
    with pytest.raises(RunError, match=r"could not write \S+: [\w ]+\. Free some space .* run the same again\.$"):
        plan(root, TaskArithmetic(), out="file/out").run()


def test_too_little_memory_is_refused_before_anything_is_written(zoo):
    root, _ = zoo
    with pytest.raises(ConfigurationError, match=r"needs .* MB of memory"):
        plan(root, TaskArithmetic(), memory=1 << 20)
    assert not (root / "out").exists()


PEAK = """
import sys, threading, time, torch
from accord.merging import TIES, plan_merge
from accord.merging.memory import anonymous
root = sys.argv[1]
job = plan_merge(TIES(), f"{root}/base.safetensors", [f"{root}/one.safetensors"] * 3, f"{root}/merged", threads=2)
peak, done = 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.01):
        peak = max(peak, anonymous())
watcher = threading.Thread(target=watch); watcher.start()
job.run(); done.set(); watcher.join()
print(job.memory, peak, job.bytes_in, "transformers" in sys.modules)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells anonymous memory")
def test_the_peak_of_memory_is_the_one_foretold(tmp_path):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(2000, 2000, generator=generator)
    save_file({"w": base.bfloat16()}, tmp_path / "base.safetensors")
    save_file({"w": (base + torch.randn(2000, 2000, generator=generator)).bfloat16()}, tmp_path / "one.safetensors")
    done = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path)], capture_output=True, text=True, check=True)
    foretold, peak, read, transformers = done.stdout.split()
    assert int(peak) <= int(foretold) <= 600 << 20
    assert int(read) == 4 * 8_000_000 and transformers == "False"
