"""Losses for the aggregators that cannot do without."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.errors import ConfigurationError, NonFiniteError


def known_losses(losses: Tensor | None, active: Tensor | None, asked: str, instead: str) -> Tensor:
    """Return the losses ``[n]`` of the active tasks, float64 on the CPU, none of them negative.

    Args:
        losses: ``[T]``, if the caller gave any.
        active: ``[T]`` bool; all when ``None``.
        asked: what needs them, as the beginning of a sentence.
        instead: an option that does not.

    Raises:
        ConfigurationError: there are none, or one is negative.
        NonFiniteError: one is not finite.
    """
    if losses is None:
        raise ConfigurationError(
            f"{asked}, and got none: pass losses=, a tensor [T], as accord.backward does, or choose {instead}"
        )
    values = losses.detach().to("cpu", torch.float64)
    tasks = torch.arange(len(values)) if active is None else active.cpu().nonzero().squeeze(1)
    values = values[tasks]
    check_losses(values, tasks)
    wrong = values < 0
    if wrong.any():
        task, value = int(tasks[wrong][0]), float(values[wrong][0])
        raise ConfigurationError(f"{asked}, and that of task {task} is {value:.6g}, below 0: choose {instead}")
    return values


def check_losses(losses: Tensor, tasks: Tensor) -> None:
    """Raise a :class:`NonFiniteError` that names those of ``tasks`` ``[n]`` whose ``losses`` ``[n]`` are not finite."""
    wrong = tasks[~losses.isfinite()].tolist()
    if wrong:
        raise NonFiniteError(
            f"the losses of task(s) {wrong} are not finite; leave them out with active=, a bool tensor [T], "
            "or let accord.backward do so"
        )
