"""A model card that says what was merged, and the recipe that does it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from accord.merging.recipe.inputs import Model
from accord.merging.recipe.schema import Recipe

RECIPE_FILE = "accord-recipe.yaml"


def recipe_text(raw: Mapping[str, Any]) -> str:
    """Return a recipe as YAML, keys in their order and lists of numbers on one line."""
    return yaml.dump(dict(raw), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    pass


def _inline(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flat = all(isinstance(entry, int | float) for entry in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_Dumper.add_representer(list, _inline)


def card(name: str, recipe: Recipe, models: Sequence[Model], text: str, notes: Sequence[str]) -> str:
    """Return the ``README.md`` of a result.

    Args:
        name: of the result.
        recipe: what was merged.
        models: its inputs, the base first.
        text: the recipe as it was written.
        notes: what there is to know about this merge.
    """
    licences = {model.label: _licence(model.folder) for model in models}
    head: dict[str, Any] = {"tags": ["merge", "accord"], "base_model": [model.label for model in models]}
    known = {licence for licence in licences.values() if licence}
    if len(known) == 1 and all(licences.values()):
        head["license"] = known.pop()
    lines = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {name}",
        f"Merged with Accord by the method `{recipe.method}`, out of:",
        "\n".join(_line(model, recipe, licences[model.label]) for model in models),
    ]
    if None in licences.values() or len(set(licences.values())) > 1:
        lines.append("Licences of the models differ or are not stated; what they allow together is for you to judge.")
    if notes:
        lines += ["## Notes", "\n".join(f"- {note}" for note in notes)]
    lines += [
        "## Recipe",
        f"```yaml\n{text}```",
        f"`{RECIPE_FILE}` is complete: `accord merge {RECIPE_FILE} OUT` makes the same bytes again.",
    ]
    return "\n\n".join(lines) + "\n"


def _line(model: Model, recipe: Recipe, licence: str | None) -> str:
    role = " (base)" if model.reference == recipe.base else ""
    return f"- `{model.label}`{role}: licence {licence or 'not stated'}"


def _licence(folder: Path | None) -> str | None:
    """Return the licence that a model's card states."""
    try:
        text = (folder / "README.md").read_text("utf-8", errors="replace") if folder else ""
    except OSError:
        return None
    if not text.startswith("---"):
        return None
    try:
        head = yaml.safe_load(text.split("---")[1])
    except (yaml.YAMLError, IndexError):
        return None
    licence = head.get("license") if isinstance(head, dict) else None
    return licence if isinstance(licence, str) else None
