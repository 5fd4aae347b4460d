"""Leave tasks whose gradient is not finite out of a step, and say so."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from accord.engines._objectives import Objectives
from accord.errors import AccordError, NonFiniteLossWarning

_REASON = "its gradient is not finite"


def healthy(gramian: Tensor, objectives: Objectives) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Return the Gramian without the tasks whose gradient is not finite, the tasks left, and why others are not.

    Warns:
        NonFiniteLossWarning: names each task whose loss is finite and whose gradient is not.
    """
    good = gramian.diagonal().isfinite()
    skipped = dict(objectives.skipped)
    if not bool(good.all()):
        ill = (~good).nonzero().flatten().tolist()
        skipped |= report(objectives, {task: float(gramian[task, task].clamp(min=0).sqrt()) for task in ill})
        gramian = torch.where(good[:, None] & good, gramian, 0.0)
    return gramian, objectives.active & good.to(objectives.active.device), skipped


def report(objectives: Objectives, norms: dict[int, float]) -> dict[str, str]:
    """Warn of each task in ``norms`` (task -> norm of its gradient) and return the reasons by name."""
    for task, norm in norms.items():
        warnings.warn(
            f"task {objectives.names[task]!r} is left out of this step: its gradient is not finite (norm {norm}) "
            f"though its loss is {objectives.values[task].item():.6g}",
            NonFiniteLossWarning,
            stacklevel=6,
        )
    return {objectives.names[task]: _REASON for task in norms}


def check_finite(what: str, numbers: Tensor) -> Tensor:
    """Return ``numbers`` if all are finite.

    Raises:
        AccordError: they are not; nothing has been written to any ``.grad`` yet.
    """
    if not bool(numbers.isfinite().all()):
        shown = f": {numbers.tolist()}" if numbers.numel() <= 64 else ""
        raise AccordError(f"{what} returned numbers that are not finite{shown}; no gradient was changed")
    return numbers
