"""Time the engines against one plain step of the summed losses, alternating in one process.

    python benchmarks/engines.py [--models mlp,resnet,transformer] [--tasks 2,4,8,16] [--engines loop,batched,gramian]
                                 [--repeats 5] [--threads 1] [--domains] [--peer]

Prints one JSON line per model, number of tasks and engine:
``{"model", "domains", "tasks", "engine", "median_ms", "cpu_ms", "ratio", "cpu_ratio", "peak_mb"}``.

A step is zero_grad, forward, T losses and gradients in ``.grad`` under the mean of the tasks' gradients (so that no
solver is timed); ``ratio`` is its wall-clock time over the plain step's measured beside it, and ``cpu_ratio`` that of
CPU time, which other work on the machine disturbs less. Each model and engine runs in a fresh process, so ``peak_mb``
(peak resident memory) is its own. With ``--domains`` every sample belongs to one task. ``--peer`` adds the settings of
TorchJD 0.18 when it can be imported (with MGDA, whose solver takes 1 to 3 ms, since its mean has no Gramian path);
nothing here needs it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise

import torch
from torch import Tensor, nn

import accord
from accord.balancer import GramianAggregator
from accord.method import Method

PEER = {"torchjd": (None, True), "torchjd-loop": (1, False), "torchjd-loop-gramian": (1, True)}


class Mean(GramianAggregator):
    """Equal weights from the Gramian."""

    method = Method("mean", "", 2026, "", "gramian", "")

    def weights(self, gramian: Tensor, *, active: Tensor | None = None) -> Tensor:
        chosen = torch.full_like(gramian[0], 1 / len(gramian))
        return chosen if active is None else chosen * active


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class Pooled(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean(1)


def mlp() -> tuple[nn.Module, Tensor, int]:
    layers = [nn.Linear(256, 1024), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Linear(1024, 1024), nn.ReLU()]
    return nn.Sequential(*layers), torch.randn(512, 256), 1024


def small_batch() -> tuple[nn.Module, Tensor, int]:
    trunk, x, width = mlp()
    return trunk, x[:32], width


def resnet() -> tuple[nn.Module, Tensor, int]:
    widths, blocks = (16, 16, 32, 64, 128), []
    for i, (a, b) in enumerate(pairwise(widths)):
        blocks += [Block(a, b, 1 if i == 0 else 2), Block(b, b, 1)]
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), torch.randn(64, 3, 32, 32), 128


def transformer() -> tuple[nn.Module, Tensor, int]:
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True, norm_first=True)
    return Pooled(nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)), torch.randn(32, 64, 256), 256


MODELS = {"mlp": mlp, "small_batch": small_batch, "resnet": resnet, "transformer": transformer}


def peer_step(trunk: nn.Module, engine: str) -> Callable[[Tensor, list[Tensor]], None]:
    from torchjd.aggregation import MGDA  # pyright: ignore[reportMissingImports]
    from torchjd.autojac import jac_to_grad, mtl_backward  # pyright: ignore[reportMissingImports]

    chunk, gramian = PEER[engine]

    def step(features: Tensor, losses: list[Tensor]) -> None:
        mtl_backward(losses, features=features, parallel_chunk_size=chunk)
        jac_to_grad(trunk.parameters(), MGDA(), optimize_gramian_computation=gramian)

    return step


def measure(model: str, tasks: int, engine: str, repeats: int, domains: bool) -> dict[str, object]:
    torch.manual_seed(0)
    trunk, x, width = MODELS[model]()
    heads = nn.ModuleList(nn.Linear(width, 8) for _ in range(tasks))
    rows = [slice(task if domains else 0, None, tasks if domains else 1) for task in range(tasks)]
    targets = [torch.randn(len(x[part]), 8) for part in rows]
    parameters, balancer = [*trunk.parameters(), *heads.parameters()], Mean()

    def plain(_: Tensor, losses: list[Tensor]) -> None:
        torch.stack(losses).sum().backward()

    def ours(_: Tensor, losses: list[Tensor]) -> None:
        accord.backward(losses, trunk.parameters(), balancer, engine=engine)

    steps = {"plain": plain, engine: peer_step(trunk, engine) if engine in PEER else ours}
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, descend in steps.items():
            for parameter in parameters:
                parameter.grad = None
            began, used = time.perf_counter(), time.process_time()
            features = trunk(x)
            parts = zip(heads, rows, targets, strict=True)
            descend(features, [(head(features[part]) - target).pow(2).mean() for head, part, target in parts])
            if repeat:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - used)
    middle = {name: (statistics.median(wall[name]), statistics.median(cpu[name])) for name in steps}
    return {
        "model": model,
        "domains": domains,
        "tasks": tasks,
        "engine": engine,
        "median_ms": round(middle[engine][0] * 1e3, 1),
        "cpu_ms": round(middle[engine][1] * 1e3, 1),
        "ratio": round(middle[engine][0] / middle["plain"][0], 2),
        "cpu_ratio": round(middle[engine][1] / middle["plain"][1], 2),
        "peak_mb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="mlp,resnet,transformer")
    parser.add_argument("--tasks", default="2,4,8,16")
    parser.add_argument("--engines", default="loop,batched,gramian,representation")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--domains", action="store_true")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engines = options.engines.split(",")
    if options.peer and find_spec("torchjd"):
        engines += list(PEER)
    for model in options.models.split(","):
        for tasks in options.tasks.split(","):
            for engine in engines:
                if options.here:
                    print(json.dumps(measure(model, int(tasks), engine, options.repeats, options.domains)), flush=True)
                    continue
                cell = ["--models", model, "--tasks", tasks, "--engines", engine, "--here"]
                cell += ["--domains"] if options.domains else []
                common = ["--repeats", str(options.repeats), "--threads", str(options.threads)]
                subprocess.run([sys.executable, __file__, *cell, *common], check=True)


if __name__ == "__main__":
    main()
