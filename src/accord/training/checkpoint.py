"""The whole state of one training run, so that a killed one goes on to bit-identical weights on CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.training.files import flatten, read_tensors, unflatten, write_tensors


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write nested state (mappings, lists, numbers, text, tensors) and PyTorch's CPU and GPU generators."""
    tensors: dict[str, Tensor] = {}
    meta = flatten("", {**state, "rng": torch.random.get_rng_state(), "cuda_rng": _cuda_rng()}, tensors)
    write_tensors(path, tensors, meta=meta)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote and restore the generators."""
    tensors, meta = read_tensors(path)
    state = unflatten(meta, tensors)
    torch.random.set_rng_state(state["rng"])
    if state["cuda_rng"]:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    return state


def _cuda_rng() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
