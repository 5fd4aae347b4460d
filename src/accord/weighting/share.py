"""What every weighting does with losses and task masks."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancer import HALF
from accord.errors import ConfigurationError, NonFiniteError


def share(values: Tensor, losses: Tensor, active: Tensor | None) -> Tensor:
    """Return weights ``[T]`` in proportion to ``values`` ``[T]`` (0 or more), summing to 1 over the active tasks.

    They have the losses' device and dtype (float32 if that is half precision). All 0 if no active task has a value.
    """
    kept = values if active is None else torch.where(active.to(values.device), values, torch.zeros_like(values))
    total = kept.sum()
    weights = torch.where(total > 0, kept / total, torch.zeros_like(kept))
    return weights.to(losses.device, torch.float32 if losses.dtype in HALF else losses.dtype)


def observed(losses: Tensor, active: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses' values (0 where inactive) and the mask of active tasks, as state of the kind of ``like``.

    Raises:
        NonFiniteError: an active loss is not finite.
    """
    mask = torch.ones_like(losses, dtype=torch.bool) if active is None else active
    mask = mask.to(like.device)
    values = losses.detach().to(like.device, like.dtype)
    wrong = (mask & ~values.isfinite()).nonzero().squeeze(1).tolist()
    if wrong:
        raise NonFiniteError(
            f"the losses of task(s) {wrong} are not finite; leave them out with active=, a bool tensor [T], "
            "or let accord.backward do so"
        )
    return torch.where(mask, values, torch.zeros_like(values)), mask


def check_tasks(known: int, losses: Tensor, name: str) -> None:
    """Raise a :class:`ConfigurationError` if a weighting of ``known`` tasks is shown another number of losses."""
    if losses.shape != (known,):
        raise ConfigurationError(
            f"{name} is set up for {known} task(s) but was given losses of shape {list(losses.shape)}; "
            "give one loss per task, always the same tasks in the same order"
        )
