"""One steerable model asked for one preference after the other on the same rows."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.steering.network import Steerable
from accord.steering.rows import Rows
from accord.training.problem import PREDICT_ROWS


class Answers:
    """Outputs for the same rows at any preference; what does not depend on the preference is computed once.

    That is the stem of a model that has its preference as an input. Memory: what it returns for the rows.

    Args:
        model: in evaluation mode, on the CPU.
        rows: N of them.
    """

    @torch.no_grad()
    def __init__(self, model: Steerable, rows: Rows) -> None:
        self._front = model.front
        self._inputs = [
            model.inputs(rows.features[start : start + PREDICT_ROWS]) for start in range(0, len(rows), PREDICT_ROWS)
        ]

    @torch.no_grad()
    def at(self, preference: Tensor) -> list[Tensor]:
        """Return every head's outputs ``[N, width_t]`` at ``preference`` ``[T]``, float32."""
        parts = [self._front(inputs, preference.float()) for inputs in self._inputs]
        return [torch.cat(column).float() for column in zip(*parts, strict=True)]
