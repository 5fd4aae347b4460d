"""Small made tables whose targets can be learned."""

from __future__ import annotations

from typing import Any

import numpy as np


def make_table(rows: int = 600, seed: int = 0) -> dict[str, Any]:
    """Return features of every sort and one label column for every kind of task."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    city = rng.integers(0, 4, rows)
    signal = x[:, 0] + 0.5 * x[:, 1] ** 2 + np.array([-1.0, 0.0, 0.5, 1.0])[city]
    noise = rng.normal(0, 0.3, (rows, 4))
    bought = (signal + noise[:, 0] > 0.5).astype(int)
    return {
        "x0": x[:, 0],
        "x1": x[:, 1],
        "x2": np.where(rng.random(rows) < 0.1, np.nan, x[:, 2]),
        "city": np.array(["Bergen", "Oslo", "Tromsø", "Voss"])[city],
        "bought": bought,
        "returned": bought & (x[:, 2] + noise[:, 1] > 0),
        "price": 100 + 20 * signal + noise[:, 1],
        "visits": rng.poisson(np.exp(np.clip(0.4 * signal, -2, 2))),
        "grade": np.clip(np.digitize(signal + noise[:, 2], [-0.5, 0.5, 1.5]), 0, 3),
        "colour": np.array(["red", "green", "blue"])[np.digitize(signal + noise[:, 3], [0.0, 1.0])],
        "tag_a": (x[:, 0] > 0).astype(int),
        "tag_b": (x[:, 1] > 0).astype(int),
    }


LABELS = ("bought", "returned", "price", "visits", "grade", "colour", "tag_a", "tag_b")


def only(table: dict[str, Any], *targets: str) -> dict[str, Any]:
    """Return the features and the given targets alone."""
    return {name: column for name, column in table.items() if name not in LABELS or name in targets}
