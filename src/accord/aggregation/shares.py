"""Shares of the tasks in an update that go on from step to step, while tasks come and go."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from accord.balancer import HALF
from accord.errors import ConfigurationError
from accord.linalg.gram import Array


def fresh_or_kept(state: Tensor, tasks: int, name: str) -> Tensor:
    """Return the shares ``[T]`` of a method, equal at first.

    Raises:
        ConfigurationError: they are those of another number of tasks.
    """
    if not state.numel():
        return torch.full((tasks,), 1.0 / tasks, dtype=torch.float64, device=state.device)
    if len(state) != tasks:
        raise ConfigurationError(
            f"{name} is set up for {len(state)} tasks but was given {tasks}; "
            "always show it the same tasks, and those that are absent with active="
        )
    return state


def among(state: Tensor, kept: np.ndarray) -> Array:
    """Return the shares ``[n]`` of the tasks ``kept`` among themselves; equal if they had none."""
    part = state.cpu().numpy()[kept]
    total = part.sum()
    return part / total if total > 0 else np.full(len(part), 1.0 / len(part))


def moved(state: Tensor, kept: np.ndarray, shares: Array) -> Tensor:
    """Return ``state`` ``[T]`` with what the tasks ``kept`` had together divided among them by ``shares`` ``[n]``."""
    values = state.cpu().numpy().copy()
    values[kept] = shares * values[kept].sum()
    return torch.from_numpy(values).to(state.device)


def weight_dtype(gramian: Tensor) -> torch.dtype:
    """Return the dtype of the weights for a Gramian: its own, and single precision if it is half."""
    return torch.float32 if gramian.dtype in HALF else gramian.dtype
