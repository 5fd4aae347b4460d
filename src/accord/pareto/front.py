"""A look at what a preference model offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from accord.pareto.preference_model import PreferenceModel


def evaluate_front(
    model: PreferenceModel, preferences: Iterable[Tensor], evaluate: Callable[[nn.Module], Tensor]
) -> Tensor:
    """Return the points ``[n, m]`` of the solutions for ``preferences`` ``[n, T]``, float64 on the CPU.

    Each solution is made once, whatever the number of batches that ``evaluate`` shows it, in evaluation mode and
    without gradients. :func:`non_dominated` tells which are worth keeping, :func:`hypervolume` how good they are.

    Args:
        model: a trained one; its mode is left as it is.
        preferences: such as :func:`simplex_grid` returns.
        evaluate: a solution -> its objectives ``[m]``, losses or metrics.
    """
    with torch.no_grad():
        points = [evaluate(model.solution(preference).eval()) for preference in preferences]
    return torch.stack([point.detach().double().cpu() for point in points])
