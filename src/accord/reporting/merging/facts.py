"""What a merge did, as ``merge.json`` has it: by tensor, by layer, by kind of tensor and in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord import __version__
from accord.merging import RecipePlan, open_checkpoint
from accord.merging.contributions import contributions
from accord.merging.progress import Progress
from accord.reporting.merging.parts import listed, parts_of, pulls


def merge_facts(plan: RecipePlan, progress: Progress | None = None) -> dict[str, Any]:
    """Return the facts of a merge that has been run; looks at all models and at the result once more.

    Raises:
        DataError: the result is not there.
    """
    merge = plan.merge
    found = contributions(
        merge.entries, plan.models_of, open_checkpoint(plan.out), threads=merge.threads, progress=progress
    )
    return {
        "accord": __version__,
        "name": plan.out.resolve().name,
        "method": plan.recipe.method,
        "settings": [{"method": method, "tensors": count} for method, count in plan.methods],
        "base": None if plan.recipe.base is None else str(plan.recipe.base),
        "reference": "base" if any(e.base is not None for e in merge.entries) else "mean of the models",
        "models": [{"name": model.label, "path": str(model.path)} for model in plan.models],
        "notes": list(plan.notes),
        "bytes": {"read": merge.bytes_in, "written": merge.bytes_out},
        **parts_of(found, lambda _: {}),
        "recipe": plan.text,
    }


def paragraph(facts: Mapping[str, Any]) -> str:
    """Return the merge in a few sentences."""
    total = facts["total"]
    names = total["models"] if total else []
    if not total or all(not value for value in total["moved"]):
        return f"{facts['name']} holds layers of {listed([m['name'] for m in facts['models']])} as they are."
    origin = "the base" if facts["reference"] == "base" else "their mean"
    moved = [
        f"{name} moved {value:.2%}" for name, value in zip(names, total["moved"], strict=True) if value is not None
    ]
    said = [f"Measured by the length of {origin}, {listed(moved)}.", *pulls(total)]
    kept = [f"{v:.0%} of {n}" for n, v in zip(names, total["kept"], strict=True) if v is not None]
    said.append(f"The result keeps {listed(kept)}.")
    return " ".join(said)
