"""Gradients that an aggregator keeps from step to step."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.errors import ConfigurationError


def remember(state: Tensor, rows: Tensor, tasks: int, name: str) -> Tensor:
    """Return the state ``[T, P]`` of a method that keeps one vector per task, zeros at first, where the rows are.

    Raises:
        ConfigurationError: the state is that of other tasks or parameters.
    """
    shape = (tasks, rows.shape[1])
    if not state.numel():
        return torch.zeros(shape, dtype=rows.dtype, device=rows.device)
    if state.shape != shape:
        raise ConfigurationError(
            f"{name} remembers gradients of shape {list(state.shape)} but was given {list(shape)}; "
            "always show it the same tasks and the same shared parameters"
        )
    return state.to(rows)
