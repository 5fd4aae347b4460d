"""One training step under each contender: from features and losses to gradients in ``.grad``."""

# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec

import torch
from torch import Tensor, nn

import accord
from accord.aggregation import UPGrad

# What its command line passes to methods that ask for it.
LIBMTL = {"UPGrad_norm_eps": 1e-4, "UPGrad_reg_eps": 1e-4}

Step = Callable[[Tensor, list[Tensor]], Tensor | None]

# Settings of TorchJD: rows at a time, and whether the Gramian is summed over parameters.
TORCHJD = {
    "torchjd": (None, False),
    "torchjd-gramian": (None, True),
    "torchjd-loop": (1, False),
    "torchjd-loop-gramian": (1, True),
}


def plain(_: Tensor, losses: list[Tensor]) -> None:
    torch.stack(losses).sum().backward()


def build(engine: str, trunk: nn.Module, heads: nn.Module, libmtl: str | None) -> Step:
    """Return the step of the contender ``engine``; ours, where known, returns the weights."""
    if engine in TORCHJD:
        return _torchjd(trunk, heads, *TORCHJD[engine])
    if engine.startswith("libmtl-"):
        return _libmtl(trunk, engine.removeprefix("libmtl-"), libmtl)
    balancer = UPGrad()

    def ours(_: Tensor, losses: list[Tensor]) -> Tensor | None:
        return accord.backward(losses, trunk.parameters(), balancer, engine=chosen).weights

    chosen = _engine(engine)
    return ours


def peers(libmtl: str | None) -> Iterable[str]:
    """Return the contenders that can be run here."""
    found = list(TORCHJD) if find_spec("torchjd") else []
    return [*found, "libmtl-PCGrad", "libmtl-UPGrad"] if libmtl else found


def _engine(name: str) -> str | accord.engines.Engine:
    """Return an engine by name; ``sketch:64`` is a sketch of size 64."""
    kind, _, size = name.partition(":")
    return accord.engines.Sketch(int(size)) if size else kind


def _torchjd(trunk: nn.Module, heads: nn.Module, chunk: int | None, gramian: bool) -> Step:
    from torchjd.aggregation import UPGrad as Theirs
    from torchjd.autojac import backward, jac_to_grad, mtl_backward

    shared = list(trunk.parameters())

    def step(features: Tensor, losses: list[Tensor]) -> None:
        if isinstance(heads, nn.ModuleList):
            mtl_backward(losses, features=features, parallel_chunk_size=chunk)
        else:  # every objective has the same head
            backward(losses, inputs=[*shared, *heads.parameters()], parallel_chunk_size=chunk)
            shared.extend(heads.parameters())
        jac_to_grad(trunk.parameters(), Theirs(), optimize_gramian_computation=gramian)

    return step


def _libmtl(trunk: nn.Module, weighting: str, path: str | None) -> Step:
    """Return LibMTL's own loop over tasks with one of its weightings, imported from a checkout at ``path``."""
    sys.path.insert(0, path or "")
    kind = getattr(importlib.import_module(f"LibMTL.weighting.{weighting}"), weighting)
    balancer = kind()
    balancer.device, balancer.rep_grad = torch.device("cpu"), False
    balancer.get_share_params = trunk.parameters
    balancer.zero_grad_share_params = lambda: trunk.zero_grad(set_to_none=False)

    def step(_: Tensor, losses: list[Tensor]) -> None:
        balancer.task_num = len(losses)
        balancer.backward(torch.stack(losses), **LIBMTL)

    return step
