"""Time whole merges of checkpoints on disk, alternating with mergekit where it is installed.

    python benchmarks/merging.py --zoo DIR [--peer PATH/TO/mergekit-yaml] [--methods linear,ties,...] [--threads 1,2]
                                 [--repeats 3] [--cores 0,1] [--output merging.jsonl]
    python benchmarks/merging.py --table merging.jsonl

The zoo is made on the first call and takes 4.2 GB: a Llama-like base of 518 million parameters in bfloat16, in three
shards, and three experts that differ from it by small noise, 5 % of the weights' own spread. Every measurement is a
whole process, imports included, that reads a recipe of mergekit's (``accord merge`` takes them as they are) and leaves
a checkpoint on disk, with the inputs in the page cache. Accord's time includes fsync and checksums, which mergekit has
none of. Both are started once beforehand, so that the bytecode of their modules lies on the disk, as it does wherever a
package was installed.

Prints one JSON line per process: ``{"method", "tool", "threads", "cpu_s", "wall_s", "anonymous_mb", "load"}``, appended
to ``--output``. ``cpu_s`` is user and system time and ``anonymous_mb`` the peak of RssAnon, looked at every 10 ms.
``--table`` prints medians, and mergekit's over Accord's. Processes are bound to the first ``threads`` of ``--cores``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

WIDTH, INNER, HEADS, VOCABULARY, LAYERS, SHARDS = 1280, 4096, 320, 32000, 22, 3
EXPERTS = ("one", "two", "three")
METHODS = {  # name in recipes, whether there is a base, parameters of each model
    "linear": (False, "weight: 0.3"),
    "task_arithmetic": (True, "weight: 0.3"),
    "slerp": (True, None),
    "dare_ties": (True, "weight: 0.3, density: 0.2"),
    "ties": (True, "weight: 0.3, density: 0.2"),
}


def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of the 201 tensors."""
    yield "model.embed_tokens.weight", (VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        block = f"model.layers.{layer}."
        for name, rows in (("q", WIDTH), ("k", HEADS), ("v", HEADS), ("o", WIDTH)):
            yield f"{block}self_attn.{name}_proj.weight", (rows, WIDTH)
        for name in ("gate", "up"):
            yield f"{block}mlp.{name}_proj.weight", (INNER, WIDTH)
        yield f"{block}mlp.down_proj.weight", (WIDTH, INNER)
        for name in ("input", "post_attention"):
            yield f"{block}{name}_layernorm.weight", (WIDTH,)
    yield "model.norm.weight", (WIDTH,)
    yield "lm_head.weight", (VOCABULARY, WIDTH)


def make_zoo(zoo: Path) -> None:
    """Write base and experts, unless they are there."""
    import torch
    from safetensors.torch import save_file

    every = list(shapes())
    for place, model in enumerate(("base", *EXPERTS)):
        folder = zoo / model
        if (folder / "config.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        where: dict[str, str] = {}
        for shard in range(SHARDS):
            file = f"model-{shard + 1:05d}-of-{SHARDS:05d}.safetensors"
            part = every[shard * len(every) // SHARDS : (shard + 1) * len(every) // SHARDS]
            tensors = {name: made(torch, place, every.index((name, shape)), shape) for name, shape in part}
            save_file(tensors, folder / file, metadata={"format": "pt"})
            where |= dict.fromkeys(tensors, file)
        index = {"metadata": {"total_size": 2 * 518_119_680}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "config.json").write_text(json.dumps(configuration()))


def made(torch: Any, model: int, tensor: int, shape: tuple[int, ...]) -> Any:
    """Return a weight of the base (model 0), or of an expert: the base plus noise."""
    generator = torch.Generator().manual_seed(tensor)
    base = torch.randn(shape, generator=generator) * 0.02 if len(shape) == 2 else torch.ones(shape)
    if not model:
        return base.bfloat16()
    generator.manual_seed(1000 * model + tensor)
    return (base.bfloat16().float() + torch.randn(shape, generator=generator) * 0.001).bfloat16()


def configuration() -> dict[str, Any]:
    """Return a configuration that tools for language models accept."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": WIDTH // 64,
        "num_key_value_heads": HEADS // 64,
        "head_dim": 64,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def recipe(method: str, zoo: Path) -> str:
    """Return a recipe that both tools read."""
    based, parameters = METHODS[method]
    models = EXPERTS if method != "slerp" else EXPERTS[:2]
    lines = [f"merge_method: {method}", "dtype: bfloat16"]
    if based:
        lines.append(f"base_model: {zoo / (models[0] if method == 'slerp' else 'base')}")
    if method == "slerp":
        lines.append("parameters: {t: 0.5}")
    lines.append("models:")
    for model in models:
        lines.append(f"  - model: {zoo / model}")
        if parameters:
            lines.append(f"    parameters: {{{parameters}}}")
    return "\n".join(lines) + "\n"


def measure(command: list[str], threads: int, cores: list[int]) -> dict[str, Any]:
    """Run a process to its end and return what it took."""
    count = str(threads)
    settings = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | settings
    bound = ["taskset", "-c", ",".join(map(str, cores[:threads])), *command]
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(bound, env=environment, stdout=said, stderr=said)
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.01)
        wall, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{said.read().decode(errors='replace')[-2000:]}")
    return {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(wall, 2),
        "anonymous_mb": round(peak / 1e6),
        "load": round(os.getloadavg()[0], 1),
    }


def anonymous(process: int) -> int:
    """Return the bytes of a process's memory that are no mapped file."""
    with suppress(OSError, StopIteration):
        status = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
    return 0


def run(options: Namespace) -> None:
    """Measure everything asked for, tools taking turns."""
    make_zoo(options.zoo)
    for file in options.zoo.glob("*/*.safetensors"):
        with file.open("rb", buffering=0) as stream:
            while stream.read(1 << 24):
                pass
    tools = {"accord": [sys.executable, "-m", "accord", "merge"]}
    if options.peer:
        tools["mergekit"] = [options.peer]
    with tempfile.TemporaryDirectory(dir=options.zoo) as work:
        out, first = Path(work) / "out", Path(work) / "first.yml"
        first.write_text(recipe("linear", options.zoo))
        for tool, command in tools.items():
            measure(
                [*command, *([str(first), str(out), "--dry-run"] if tool == "accord" else ["--help"])], 1, options.cores
            )
        for _ in range(options.repeats):
            for method in options.methods.split(","):
                path = Path(work) / f"{method}.yml"
                path.write_text(recipe(method, options.zoo))
                for threads in map(int, options.threads.split(",")):
                    for tool, command in tools.items():
                        more = ["--threads", str(threads)] if tool == "accord" else ["--no-copy-tokenizer"]
                        found = measure([*command, str(path), str(out), *more], threads, options.cores)
                        shutil.rmtree(out)
                        line = json.dumps({"method": method, "tool": tool, "threads": threads, **found})
                        print(line, flush=True)
                        if options.output:
                            with options.output.open("a") as file:
                                file.write(line + "\n")


def table(path: Path) -> str:
    """Return medians as a table in Markdown."""
    cells: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text().splitlines():
        found = json.loads(line)
        cells[found["method"], found["threads"]][found["tool"]].append(found)
    rows = [
        "| method | threads | CPU s: mergekit | Accord | ratio | wall s: mergekit | Accord | MB: mergekit | Accord |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (method, threads), tools in sorted(
        cells.items(), key=lambda cell: (list(METHODS).index(cell[0][0]), cell[0][1])
    ):
        figures = {tool: {key: median(lines, key) for key in lines[0]} for tool, lines in tools.items()}
        ours, peer = figures["accord"], figures.get("mergekit", dict.fromkeys(figures["accord"], float("nan")))
        ratio = peer["cpu_s"] / ours["cpu_s"]
        rows.append(
            f"| {method} | {threads} | {peer['cpu_s']:.1f} | {ours['cpu_s']:.1f} | {ratio:.1f} | "
            f"{peer['wall_s']:.1f} | {ours['wall_s']:.1f} | {peer['anonymous_mb']:.0f} | {ours['anonymous_mb']:.0f} |"
        )
    return "\n".join(rows)


def median(lines: list[dict[str, Any]], key: str) -> float:
    """Return the median of a figure; 0 for what is none."""
    return statistics.median(line[key] for line in lines) if isinstance(lines[0][key], int | float) else 0.0


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("--peer")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--threads", default="1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=lambda text: [int(core) for core in text.split(",")], default=[0, 1])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    if options.table:
        print(table(options.table))
    elif options.zoo:
        run(options)
    else:
        parser.error("give --zoo, where 4.2 GB of checkpoints are or will be made, or --table")


if __name__ == "__main__":
    main()
