"""What a merge of adapters did, as ``merge.json`` has it: there is no base, and a rank that leaves something out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accord import __version__
from accord.errors import DataError
from accord.merging import manifest, open_adapter
from accord.merging.adapters.looking import brought
from accord.merging.adapters.open_adapter import WEIGHTS
from accord.merging.contributions import Contribution
from accord.merging.progress import Progress
from accord.merging.recipe.adapter_plan import AdapterPlan
from accord.reporting.merging.parts import listed, number, parts_of, pulls, rounded


def adapter_facts(plan: AdapterPlan, progress: Progress | None = None) -> dict[str, Any]:
    """Return the facts of a merge of adapters that has been run; multiplies all changes out once more.

    Raises:
        DataError: the result is not there.
    """
    record = manifest.read(plan.out / manifest.MANIFEST)
    if record is None:
        raise DataError(f"{plan.out} holds no finished merge: run it first")
    merged = open_adapter(plan.out)
    names = _short(plan.names)
    found = brought(plan.adapters, merged, names, progress=progress)
    lost: Mapping[str, float] = record.get("rank", {}).get("left_out", {})

    def left_out(names: Sequence[str]) -> dict[str, Any]:
        return {"left_out": number(_left_out({name: found[name] for name in names}, lost))}

    read = sum(tensor.nbytes for adapter in plan.adapters for tensor in adapter.checkpoint.values())
    return {
        "accord": __version__,
        "name": plan.out.resolve().name,
        "method": plan.recipe.method,
        "settings": [{"method": repr(plan.method), "tensors": len(found)}],
        "base": merged.config.get("base_model_name_or_path"),
        "reference": "nothing",
        "models": [
            {"name": name, "path": adapter.label, "rank": max(each.rank for each in adapter.modules.values())}
            for name, adapter in zip(names, plan.adapters, strict=True)
        ],
        "rank": max(each.rank for each in merged.modules.values()),
        "notes": list(plan.notes),
        "bytes": {"read": read, "written": (plan.out / WEIGHTS[0]).stat().st_size},
        **parts_of(found, left_out),
        "recipe": plan.text,
    }


def _short(said: Sequence[str]) -> tuple[str, ...]:
    """Return names for a page, all different: the last parts of paths, where these tell them apart."""
    ends = [name.rstrip("/").rpartition("/")[2] for name in said]
    names = ends if len(set(ends)) == len(set(said)) else said
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(f"{name} ({count + 1})" if count else name for name, count in zip(names, before, strict=True))


def _left_out(found: Mapping[str, Contribution], lost: Mapping[str, float]) -> float:
    """Return the length of what the rank leaves out of several modules, divided by that of their merged change.

    What is stored and what is left out are orthogonal, so that the length of both together follows from the one stored.
    """
    gone = whole = 0.0
    for name, each in found.items():
        share = lost.get(name.removesuffix(".weight"), math.nan) ** 2
        size = each.merged / (1.0 - share) if share < 1.0 else math.nan
        gone, whole = gone + share * size, whole + size
    return math.sqrt(gone / whole) if whole else 0.0


def adapter_paragraph(facts: Mapping[str, Any]) -> str:
    """Return the merge in a few sentences."""
    total = facts["total"]
    names = total["models"]
    lengths = [f"{rounded(v)} ({n})" for n, v in zip(names, total["lengths"], strict=True) if v is not None]
    said = [f"The changes have the lengths {listed(lengths)}, their merge {rounded(total['merged_length'])}."]
    said += pulls(total)
    kept = [f"{v:.0%} of {n}" for n, v in zip(names, total["kept"], strict=True) if v is not None]
    said.append(f"The result keeps {listed(kept)}." if kept else "None of them changes anything.")
    lost = total["left_out"]
    if lost is not None:
        short = f"leaves out {lost:.2%} of the merged change (norm)" if lost else "holds the merged change exactly"
        said.append(f"Its rank of {facts['rank']} {short}.")
    return " ".join(said)
