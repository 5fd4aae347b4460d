"""The learning rate as a function of the step alone, so that resuming needs no state."""

from __future__ import annotations

import math

from accord.training.spec import TrainingSpec


def rate_factor(spec: TrainingSpec, step: int, total: int) -> float:
    """Return the factor on the peak learning rate at ``step`` (from 0) of ``total``: warm-up, then the schedule."""
    warmup = int(spec.warmup * total)
    if step < warmup:
        return (step + 1) / warmup
    if spec.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total - warmup)
    return 1.0 - progress if spec.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
