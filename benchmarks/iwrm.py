"""Time steps with one objective per sample against one plain step of the mean loss, alternating in one process.

    python benchmarks/iwrm.py [--models resnet,mlp,transformer] [--batches 64] [--balancers UPGrad,MGDA,Mean]
                              [--engines grouped] [--repeats 5] [--threads 1]

Prints one JSON line per model, batch, balancer and contender:
``{"model", "batch", "balancer", "contender", "cpu_ms", "plain_ms", "cpu_ratio", "peer_ratio"}``.

A step is zero_grad, forward, a vector of cross-entropies ``[B]`` and gradients in ``.grad`` of all parameters, the
balancer's own arithmetic included. ``cpu_ratio`` is its CPU time over the plain step's of the same round,
``peer_ratio`` over TorchJD's under the same balancer, medians over rounds. TorchJD 0.18 takes part where it can be
imported, as its documentation proposes for this case: ``autogram.Engine(batch_dim=0)``, a weighting and a weighted
backward. It refuses batch normalisation there, so the residual network has groups of four channels in its place for
everyone; ``resnet_frozen`` keeps it in evaluation mode, for Accord alone.
Each cell runs in a fresh process.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import torch
from engine_models import MODELS, replace_norms
from torch import Tensor, nn

import accord

CLASSES = 10
Step = Callable[[], None]


def build(model: str, batch: int) -> tuple[nn.Module, Tensor]:
    """Return the network that gives logits, and one batch."""
    trunk, x, width = MODELS[model.removesuffix("_frozen")]()
    if model == "resnet":
        replace_norms(trunk)
    if model.endswith("_frozen"):
        trunk.eval()
    repeats = -(-batch // len(x))
    return nn.Sequential(trunk, nn.Linear(width, CLASSES)), torch.cat([x] * repeats)[:batch].contiguous()


def steps(network: nn.Module, x: Tensor, balancer: str, engines: list[str]) -> dict[str, tuple[nn.Module, Step]]:
    """Return each contender's network and step; TorchJD's has hooks, so that it needs one of its own."""
    target = torch.randint(0, CLASSES, (len(x),))

    def losses(module: nn.Module) -> Tensor:
        return nn.functional.cross_entropy(module(x), target, reduction="none")

    def ours(engine: str) -> Step:
        method = getattr(accord.aggregation, balancer)()
        return lambda: void(accord.backward(losses(network), network.parameters(), method, engine=engine))

    found: dict[str, tuple[nn.Module, Step]] = {"plain": (network, lambda: losses(network).mean().backward())}
    found |= {engine: (network, ours(engine)) for engine in engines}
    if find_spec("torchjd") and not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        found["torchjd"] = _peer(copy.deepcopy(network), balancer, losses)
    return found


def _peer(network: nn.Module, balancer: str, losses: Callable[[nn.Module], Tensor]) -> tuple[nn.Module, Step]:
    import torchjd.aggregation
    from torchjd.autogram import Engine

    engine, weighting = Engine(network, batch_dim=0), getattr(torchjd.aggregation, f"{balancer}Weighting")()

    def step() -> None:
        vector = losses(network)
        vector.backward(weighting(engine.compute_gramian(vector)))

    return network, step


def void(_: object) -> None:
    """Return nothing."""


def measure(model: str, batch: int, balancer: str, engines: list[str], repeats: int) -> Iterator[dict[str, object]]:
    torch.manual_seed(0)
    contenders = steps(*build(model, batch), balancer, engines)
    used: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        for name, (network, step) in contenders.items():
            network.zero_grad()
            began = time.process_time()
            step()
            if repeat:
                used[name].append(time.process_time() - began)
    for name in contenders:
        if name != "plain":
            yield {
                "benchmark": "iwrm",
                "model": model,
                "batch": batch,
                "balancer": balancer,
                "contender": name,
                "cpu_ms": round(statistics.median(used[name]) * 1e3, 1),
                "plain_ms": round(statistics.median(used["plain"]) * 1e3, 1),
                "cpu_ratio": _ratio(used[name], used["plain"]),
                "peer_ratio": _ratio(used[name], used["torchjd"]) if "torchjd" in used else None,
            }


def _ratio(a: list[float], b: list[float]) -> float:
    return round(statistics.median(x / y for x, y in zip(a, b, strict=True)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="resnet,mlp,transformer")
    parser.add_argument("--batches", default="64")
    parser.add_argument("--balancers", default="UPGrad,MGDA,Mean")
    parser.add_argument("--engines", default="grouped")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for model in options.models.split(","):
        for batch in options.batches.split(","):
            for balancer in options.balancers.split(","):
                if options.here:
                    for line in measure(model, int(batch), balancer, options.engines.split(","), options.repeats):
                        print(json.dumps(line), flush=True)
                    continue
                cell = ["--models", model, "--batches", batch, "--balancers", balancer, "--here"]
                common = ["--engines", options.engines, "--repeats", str(options.repeats)]
                threads = ["--threads", str(options.threads)]
                subprocess.run([sys.executable, __file__, *cell, *common, *threads], check=True)


if __name__ == "__main__":
    main()
