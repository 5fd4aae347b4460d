"""What a step of one task alone does to the losses of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError

Losses = Callable[[], Sequence[Tensor | None]]


def lookahead(losses: Losses, shared: Sequence[nn.Parameter], *, step: float = 0.001) -> tuple[Tensor, Tensor]:
    """Return the losses ``before [T]`` and ``after [T, T]``: row i after a step of task i alone on the shared weights.

    The step of every task has the same length, ``step`` times the norm of the shared weights, against its gradient; a
    task whose gradient is zero makes none. The weights are put back bit for bit. What ``losses`` draws, dropout above
    all, must be the same at every call: put the model into evaluation mode.

    Args:
        losses: returns the T losses on one batch, ``None`` where a task has no label in it; called T + 1 times.
        shared: the shared parameters.
        step: length of the step relative to the weights, above 0. Some ten times that, about a step of Adam at a usual
            rate, and losses rise along most gradients, whoever's they are.

    Returns:
        float64 on the CPU; NaN in the rows and columns of tasks without a loss, or with one that is not finite.

    Raises:
        ConfigurationError: ``step`` is not positive.

    Cost: T backwards and T + 1 forwards, memory for T gradients.

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, 2021. There the step is the
    optimiser's, whose length goes with the gradient's; equal lengths compare directions, so that a task does not look
    harmless only because its gradient is short at the moment.
    """
    if not step > 0:
        raise ConfigurationError(f"step must be above 0, not {step!r}")
    found = list(losses())
    before = _values(found)
    after = torch.full((len(found), len(found)), torch.nan, dtype=torch.float64)
    length = step * float(torch.stack([p.detach().norm() for p in shared]).norm())
    kept = [parameter.detach().clone() for parameter in shared]
    usable = [i for i, loss in enumerate(found) if loss is not None and loss.requires_grad and loss.isfinite()]
    moves = {i: torch.autograd.grad(found[i], shared, retain_graph=i != usable[-1], allow_unused=True) for i in usable}  # type: ignore[arg-type]
    with torch.no_grad():
        for i, gradients in moves.items():
            after[i] = before if not _step(shared, gradients, length) else _values(losses())
            for parameter, value in zip(shared, kept, strict=True):
                parameter.copy_(value)
    return before, after


def _step(shared: Sequence[nn.Parameter], gradients: Sequence[Tensor | None], length: float) -> bool:
    """Move ``shared`` by ``length`` against ``gradients``; return whether there was a direction."""
    norms = [gradient.norm() for gradient in gradients if gradient is not None]
    norm = float(torch.stack(norms).norm()) if norms else 0.0
    if not 0 < norm < float("inf"):
        return False
    for parameter, gradient in zip(shared, gradients, strict=True):
        if gradient is not None:
            parameter.add_(gradient, alpha=-length / norm)
    return True


def _values(losses: Sequence[Tensor | None]) -> Tensor:
    values = [float("nan") if loss is None else float(loss.detach()) for loss in losses]
    found = torch.tensor(values, dtype=torch.float64)
    return torch.where(found.isfinite(), found, torch.nan)
