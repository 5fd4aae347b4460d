"""What a merge did, as ``merge.json`` has it: by tensor, by layer, by kind of tensor and in all."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accord import __version__
from accord.merging import RecipePlan, open_checkpoint
from accord.merging.contributions import Contribution, contributions, together
from accord.merging.recipe.layers import place

OUTSIDE = "outside of layers"


def merge_facts(plan: RecipePlan) -> dict[str, Any]:
    """Return the facts of a merge that has been run; looks at all models and at the result once more.

    Raises:
        DataError: the result is not there.
    """
    found = contributions(plan.merge.entries, plan.models_of, open_checkpoint(plan.out), threads=plan.merge.threads)
    groups: dict[str, dict[int, list[Contribution]]] = {}
    kinds: dict[str, list[Contribution]] = {}
    for name, each in found.items():
        at = place(name)
        kinds.setdefault(_kind(name), []).append(each)
        if at is not None:
            groups.setdefault(at.stack, {}).setdefault(at.index, []).append(each)
    return {
        "accord": __version__,
        "name": plan.out.resolve().name,
        "method": plan.recipe.method,
        "settings": [{"method": method, "tensors": count} for method, count in plan.methods],
        "base": None if plan.recipe.base is None else str(plan.recipe.base),
        "reference": "base" if any(e.base is not None for e in plan.merge.entries) else "mean of the models",
        "models": [{"name": model.label, "path": str(model.path)} for model in plan.models],
        "notes": list(plan.notes),
        "bytes": {"read": plan.merge.bytes_in, "written": plan.merge.bytes_out},
        "total": _told(together([*found.values()])) if found else None,
        "layers": [
            {"stack": stack, "layer": layer, **_told(together(parts))}
            for stack, layers in groups.items()
            for layer, parts in sorted(layers.items())
        ],
        "kinds": [{"kind": kind, **_told(together(parts))} for kind, parts in kinds.items()],
        "tensors": [{"name": name, **_told(each)} for name, each in found.items()],
        "recipe": plan.text,
    }


def _kind(name: str) -> str:
    """Return what a tensor is called in every layer; experts are one kind."""
    at = place(name)
    return re.sub(r"(^|\.)\d+\.", r"\1*.", at.rest) if at is not None else name


def _told(found: Contribution) -> dict[str, Any]:
    return {
        "models": list(found.models),
        "elements": found.elements,
        "moved": _numbers(found.moved),
        "cosines": [_numbers(row) for row in found.cosines],
        "kept": _numbers(found.kept),
        "conflict": _number(found.conflict),
        "interference": {"before": _number(found.before), "after": _number(found.after)},
        "against": _numbers(
            np.divide(found.against, found.size, out=np.full_like(found.size, math.nan), where=found.size > 0)
        ),
        "merged": _number(math.sqrt(found.merged / found.base) if found.base else math.nan),
    }


def _numbers(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [_number(float(value)) for value in values]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def paragraph(facts: Mapping[str, Any]) -> str:
    """Return the merge in a few sentences."""
    total = facts["total"]
    names = total["models"] if total else []
    if not total or all(not value for value in total["moved"]):
        return f"{facts['name']} holds layers of {_listed([m['name'] for m in facts['models']])} as they are."
    origin = "the base" if facts["reference"] == "base" else "their mean"
    moved = [
        f"{name} moved {value:.2%}" for name, value in zip(names, total["moved"], strict=True) if value is not None
    ]
    said = [f"Measured by the length of {origin}, {_listed(moved)}."]
    if len(names) > 1 and total["conflict"] is not None:
        pairs = [
            (total["cosines"][i][j], names[i], names[j])
            for i in range(len(names))
            for j in range(i)
            if total["cosines"][i][j] is not None
        ]
        if pairs:
            least = min(pairs)
            said.append(
                f"Where several moved, {total['conflict']:.0%} of the numbers were moved in opposite directions; the "
                f"least alike are {least[1]} and {least[2]} (cosine {least[0]:.2f})."
            )
    kept = [f"{v:.0%} of {n}" for n, v in zip(names, total["kept"], strict=True) if v is not None]
    said.append(f"The result keeps {_listed(kept)}.")
    return " ".join(said)


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def out_of(plan: RecipePlan, path: str | Path | None) -> Path:
    """Return where the page goes."""
    return plan.out / "merge.html" if path is None else Path(path)
