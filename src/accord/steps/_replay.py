"""Call a model again with the same random numbers, and leave no trace of the call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Replay:
    """What a forward pass depends on besides parameters and data: where the global generators stand.

    Args:
        model: whose buffers, the running statistics of its norms above all, repeated passes are to leave alone.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._start = _generators()

    @contextmanager
    def again(self) -> Iterator[None]:
        """Let passes draw what the first one drew (the same dropout masks), and put generators and buffers back."""
        now = _generators()
        buffers = [(buffer, buffer.clone()) for buffer in self._model.buffers()]
        _set(self._start)
        try:
            yield
        finally:
            _set(now)
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


def _generators() -> tuple[Tensor, list[Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _set(states: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(states[0])
    if states[1]:
        torch.cuda.set_rng_state_all(states[1])
