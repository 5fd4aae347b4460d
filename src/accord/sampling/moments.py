"""What a sampler may want to know of the tasks' gradients, from a few micro-batches."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.errors import ConfigurationError


def gradient_moments(gradients: Tensor, rows: int = 1) -> tuple[Tensor, Tensor]:
    """Return unbiased estimates of ``|g_k|^2`` and of the variance of one row's gradient, ``[T]`` each.

    From ``m`` gradients ``g_i`` per task, each the mean over ``rows`` rows: the variance of one row is
    ``rows sum |g_i - mean|^2 / (m - 1)``, and the squared length of the mean gradient is that of the estimate less the
    noise in it, ``|mean|^2 - variance / (m rows)``. The latter is never returned below 0.

    Args:
        gradients: ``[T, m, P]``, at least two per task.
        rows: rows behind each gradient, at least 1.
    """
    if gradients.ndim != 3 or gradients.shape[1] < 2 or rows < 1:
        raise ConfigurationError(
            f"needs gradients [T, m, P] with m of at least 2, and rows of at least 1; got {list(gradients.shape)} "
            f"and {rows}"
        )
    exact = gradients.detach().to(torch.float64)
    count = gradients.shape[1]
    mean = exact.mean(dim=1)
    variances = rows * (exact - mean[:, None]).square().sum(dim=(1, 2)) / (count - 1)
    norms = mean.square().sum(dim=1) - variances / (count * rows)
    return norms.clamp(min=0.0), variances
