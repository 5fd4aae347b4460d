"""What a front amounts to, in plain sentences that its numbers support."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from accord.steering.methods import is_together, method_class


def paragraph(found: Mapping[str, Any]) -> str:
    """Return the honest summary of ``front.json``: how far it steers, what it covers, and against what.

    Args:
        found: the content of ``front.json`` so far.
    """
    method = found["method"]
    points = len(found["points"])
    opening = (
        f"One {method} model, measured at {points} preferences"
        if found["kind"] == "steerable"
        else f"{points} models trained together by {method}"
        if is_together(method_class(method))
        else f"{points} models trained by {method}, one for each preference"
    )
    rows, seeds = found["rows"]["test"], len(found["seeds"])
    sentences = [f"{opening}, {rows:,} test rows, {f'{seeds} seeds' if seeds > 1 else 'one seed'}."]
    sentences += [sentence for task in found["tasks"] if (sentence := reach(found, task))]
    sentences += _coverage(found)
    covers = (
        "the luck of the test rows and of the seeds" if seeds > 1 else "the luck of the test rows only, not of the seed"
    )
    sentences.append(f"The {100 * found['confidence']:.0f} % intervals of hypervolumes cover {covers}.")
    return " ".join(sentences)


def reach(found: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """Return how far the primary metric of ``task`` goes from the preference's one end to the other, on test rows."""
    name, metric = task["name"], task["primary"]
    position = [t["name"] for t in found["tasks"]].index(name)
    ordered = sorted(found["points"], key=lambda point: point["preference"][position])
    least, most = (point["test"]["metrics"][name][metric] for point in (ordered[0], ordered[-1]))
    if any(math.isnan(v) for one in (least, most) for v in one.values()):
        return ""
    look = task["metrics"][metric]
    apart = most["low"] > least["high"] if look["higher_is_better"] else most["high"] < least["low"]
    overlap = max(most["low"], least["low"]) <= min(most["high"], least["high"])
    span = (
        f"{look['label']} from {least['value']:.4g} where it counts least to {most['value']:.4g} where it counts most"
    )
    if apart:
        return f"Steering moves {name}: {span}."
    if overlap:
        return f"Steering makes no clear difference to {name}: {span}, and the intervals overlap."
    return f"Steering moves {name} the wrong way: {span}."


def _coverage(found: Mapping[str, Any]) -> list[str]:
    volumes = found["hypervolume"]
    if "gain" not in volumes:
        return [f"Hypervolume of the front: {_interval(volumes['front'])}."]
    gain = volumes["gain"]
    outcome = (
        "covers more of the trade-off than the balanced model alone"
        if gain["low"] > 0
        else "covers less of the trade-off than the balanced model alone"
        if gain["high"] < 0
        else "does not clearly cover more of the trade-off than the balanced model alone"
    )
    said = [
        f"The front {outcome}: hypervolume {_interval(volumes['front'])} against {_interval(volumes['balanced'])}, "
        f"difference {_interval(gain, sign=True)}."
    ]
    if "singles" in volumes:
        said.append(
            f"{len(found['tasks'])} single-task models, if each served its own task, would cover "
            f"{_interval(volumes['singles'])}."
        )
    cost = found["cost"]["front"]["seconds"] / max(found["cost"]["baselines"]["seconds"], 1e-9)
    said.append(f"The front took {cost:.2f} times the training time of the balanced and single-task models together.")
    return said


def _interval(value: Mapping[str, float], *, sign: bool = False) -> str:
    size = (value["high"] - value["low"]) / 2
    digits = min(6, max(0, 1 - math.floor(math.log10(size)))) if math.isfinite(size) and size > 0 else 4
    plus = "+" if sign else ""
    shown, low, high = (f"{value[key]:{plus}.{digits}f}".replace("-", "\u2212") for key in ("value", "low", "high"))
    return f"{shown} [{low}, {high}]"
