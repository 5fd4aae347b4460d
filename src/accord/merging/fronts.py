"""How a front says that its points are merges: below all the rooms that write, open and show fronts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Where figures of a merge come from, in place of rows: the key "split" of a point.
EVALUATION = "evaluation"


def of_merges(record: Mapping[str, Any]) -> bool:
    """Return whether a ``front.json`` is of ``accord merge --front``: whole checkpoints, measured by an evaluation.

    A damaged record is none of merges; what is wrong with it is for its readers to say.
    """
    points = record.get("points")
    return isinstance(points, list) and any(
        isinstance(point, Mapping) and point.get("split") == EVALUATION for point in points
    )
