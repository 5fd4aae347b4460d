"""Running means of losses and weights that do not make the device wait for the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Meter:
    """Means per task since the last :meth:`take`; steps in which a task is absent or not finite do not count."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = list(tasks)
        self._reset()

    def _reset(self) -> None:
        self.losses = torch.zeros(len(self.tasks), dtype=torch.float64)
        self.weights = torch.zeros(len(self.tasks), dtype=torch.float64)
        self.seen = torch.zeros(len(self.tasks), dtype=torch.float64)
        self.weighed = 0

    def add(self, losses: Mapping[str, Tensor | None], weights: Tensor | None) -> None:
        """Add one step's losses (absent ones are None) and weights ``[T]`` (None where there are none)."""
        nan = torch.tensor(float("nan"))
        values = [loss.detach() if (loss := losses.get(task)) is not None else nan for task in self.tasks]
        row = torch.stack([v.to(values[0].device, torch.float64) for v in values])
        finite = row.isfinite()
        self.losses = self.losses.to(row.device) + torch.where(finite, row, 0.0)
        self.seen = self.seen.to(row.device) + finite
        if weights is not None:
            self.weights = self.weights.to(weights.device) + weights.detach()
            self.weighed += 1

    def take(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return mean losses and mean weights per task, and start anew."""
        losses = {t: s / n for t, s, n in zip(self.tasks, self.losses.tolist(), self.seen.tolist(), strict=True) if n}
        weights = {t: w / self.weighed for t, w in zip(self.tasks, self.weights.tolist(), strict=True) if self.weighed}
        self._reset()
        return losses, weights

    def state(self) -> dict[str, Any]:
        """Return everything as plain values and tensors."""
        return {"losses": self.losses, "weights": self.weights, "seen": self.seen, "weighed": self.weighed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`."""
        self.losses, self.weights, self.seen = state["losses"], state["weights"], state["seen"]
        self.weighed = state["weighed"]
