"""Leave tasks whose gradient is not finite out of a step, and say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import torch
from torch import Tensor

from accord.engines._objectives import Objectives
from accord.engines._warn import warn_caller
from accord.errors import AccordError

_REASON = "its gradient is not finite"


def healthy(
    gramian: Tensor, objectives: Objectives, ill: Mapping[int, float] | None = None
) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Return the Gramian without the tasks whose gradient is not finite, the tasks left, and why others are not.

    Args:
        gramian: ``[T, T]``.
        objectives: the losses of this step.
        ill: tasks already known to be so, with the magnitude of their gradient.

    Warns:
        NonFiniteLossWarning: names each task whose loss is finite and whose gradient is not.
    """
    ill = beyond(gramian) | dict(ill or {})
    if not ill:
        return gramian, objectives.active, dict(objectives.skipped)
    good = torch.tensor([task not in ill for task in range(len(gramian))], device=gramian.device)
    active = objectives.active & good.to(objectives.active.device)
    return torch.where(good[:, None] & good, gramian, 0.0), active, objectives.skipped | report(objectives, ill)


def beyond(gramian: Tensor) -> dict[int, float]:
    """Return the tasks whose squared length on the diagonal of ``gramian`` is not finite, with that."""
    return {task: norm for task, norm in enumerate(gramian.diagonal().tolist()) if not isfinite(norm)}


def magnitudes(gradients: Iterable[Tensor | None]) -> list[Tensor]:
    """Return the largest magnitude in each of ``gradients``, NaN where one is NaN; sparse and absent ones left out."""
    present = [gradient for gradient in gradients if gradient is not None and not gradient.is_sparse]
    return [torch.linalg.vector_norm(gradient, torch.inf) for gradient in present if gradient.numel()]


def not_finite(sizes: Mapping[int, Sequence[Tensor]]) -> dict[int, float]:
    """Return the tasks among whose magnitudes ``sizes`` one is not finite, with that one."""
    flat = [(task, size) for task, several in sizes.items() for size in several]
    if not flat:
        return {}
    values = torch.stack([size.float() for _, size in flat]).tolist()
    return {task: value for (task, _), value in zip(flat, values, strict=True) if not isfinite(value)}


def report(objectives: Objectives, norms: dict[int, float]) -> dict[str, str]:
    """Warn of each task in ``norms`` (task -> size of its gradient) and return the reasons by name."""
    for task, norm in norms.items():
        warn_caller(
            f"task {objectives.names[task]!r} is left out of this step: its gradient is not finite ({norm}) "
            f"though its loss is {objectives.values[task].item():.6g}"
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
