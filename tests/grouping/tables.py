"""Small tables with planted groups."""

from __future__ import annotations

from typing import Any

import numpy as np

FAST: dict[str, Any] = {
    "training.epochs": 2,
    "training.batch_size": 128,
    "training.learning_rate": 0.02,
    "training.threads": 1,
    "model.options": {"width": 12, "depth": 1},
    "evaluation.resamples": 100,
}


def planted_table(tasks: int = 4, groups: int = 2, rows: int = 500, seed: int = 0) -> dict[str, Any]:
    """Columns ``x0`` ... ``x5`` and binary ``t0`` ...; task t belongs to group ``t % groups``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6))
    directions = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    table: dict[str, Any] = {f"x{i}": x[:, i].round(4) for i in range(6)}
    for t in range(tasks):
        score = x @ directions[:, t % groups] + 0.4 * rng.normal(size=rows)
        table[f"t{t}"] = (score > 0).astype(int)
    return table


def names(tasks: int = 4) -> list[str]:
    """The targets of :func:`planted_table`."""
    return [f"t{t}" for t in range(tasks)]
