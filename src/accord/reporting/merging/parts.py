"""The tensors of a merge, one by one and together by layer, by kind and in all, as numbers that JSON has."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from accord.merging.contributions import Contribution, together
from accord.merging.layers import place
from accord.reporting.numbers import general

More = Callable[[Sequence[str]], dict[str, Any]]


def parts_of(found: Mapping[str, Contribution], more: More) -> dict[str, Any]:
    """Return ``total``, ``layers``, ``kinds`` and ``tensors``.

    Args:
        found: by tensor.
        more: returns what else there is to tell of tensors with these names together.
    """
    groups: dict[str, dict[int, list[str]]] = {}
    kinds: dict[str, list[str]] = {}
    for name in found:
        at = place(name)
        kinds.setdefault(_kind(name), []).append(name)
        if at is not None:
            groups.setdefault(at.stack, {}).setdefault(at.index, []).append(name)

    def told(names: Sequence[str]) -> dict[str, Any]:
        return {**_told(together([found[name] for name in names])), **more(names)}

    return {
        "total": told(list(found)) if found else None,
        "layers": [
            {"stack": stack, "layer": layer, **told(names)}
            for stack, layers in groups.items()
            for layer, names in sorted(layers.items())
        ],
        "kinds": [{"kind": kind, **told(names)} for kind, names in kinds.items()],
        "tensors": [{"name": name, **_told(each), **more([name])} for name, each in found.items()],
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
        "lengths": _numbers(np.sqrt(np.diag(found.gramian))),
        "cosines": [_numbers(row) for row in found.cosines],
        "kept": _numbers(found.kept),
        "conflict": number(found.conflict),
        "interference": {"before": number(found.before), "after": number(found.after)},
        "against": _numbers(
            np.divide(found.against, found.size, out=np.full_like(found.size, math.nan), where=found.size > 0)
        ),
        "merged": number(math.sqrt(found.merged / found.base) if found.base else math.nan),
        "merged_length": number(math.sqrt(found.merged)),
    }


def _numbers(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [number(float(value)) for value in values]


def number(value: float) -> float | None:
    """Return a number of six digits, ``None`` where it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def pulls(total: Mapping[str, Any]) -> list[str]:
    """Return a sentence on how far changes go in opposite directions; none where there is nothing to say."""
    names = total["models"]
    if len(names) < 2 or total["conflict"] is None:
        return []
    pairs = [
        (total["cosines"][i][j], names[i], names[j])
        for i in range(len(names))
        for j in range(i)
        if total["cosines"][i][j] is not None
    ]
    if not pairs:
        return []
    least = min(pairs)
    return [
        f"Of the numbers that several changed, {total['conflict']:.0%} were changed in opposite directions; the least "
        f"alike are {least[1]} and {least[2]} (cosine {least[0]:.2f})."
    ]


def rounded(value: float | None) -> str:
    """Return a length with three digits."""
    return general(math.nan if value is None else value)


def listed(parts: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
