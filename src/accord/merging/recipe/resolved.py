"""A recipe with all that it left open filled in, so that it makes the same again anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.merging.recipe.dialect import Dialect, own_options
from accord.merging.recipe.inputs import Inputs
from accord.merging.recipe.reference import Reference, parse_reference
from accord.merging.recipe.schema import Recipe
from accord.merging.recipe.settings import REQUIRED

# Keys under which a model stands.
MODELS = ("model", "base_model", "tokenizer_source", "source")


def resolved(recipe: Recipe, inputs: Inputs, dialect: Dialect) -> dict[str, Any]:
    """Return the YAML document with whole paths, defaults and the seed."""
    content = {key: value for key, value in _walk(dict(recipe.raw), inputs).items() if key != "name"}
    if own_options(recipe.method) is None:
        defaults = {o.name: o.default for o in dialect.options if o.default is not REQUIRED and o.default is not None}
        parameters = defaults | dict(content.get("parameters") or {})
        if parameters:
            content["parameters"] = parameters
    if recipe.pruning is not None:
        content["layer_pruning"] = recipe.pruning.options()
    return {**content, "seed": recipe.seed}


def whole_path(reference: Reference, inputs: Inputs) -> str:
    """Return a reference with whole paths."""
    path = str(inputs.locate(reference.path, reference.revision).resolve())
    if reference.adapter is None:
        return path
    return f"{path}+{inputs.locate(reference.adapter, reference.adapter_revision).resolve()}"


def _walk(value: Any, inputs: Inputs) -> Any:
    if isinstance(value, list):
        return [_walk(entry, inputs) for entry in value]
    if not isinstance(value, Mapping):
        return value
    return {key: _entry(key, entry, inputs) for key, entry in value.items()}


def _entry(key: str, value: Any, inputs: Inputs) -> Any:
    if key == "models" and isinstance(value, list):  # of which an entry may be no more than a name
        return [_model("model", each, inputs) if isinstance(each, str) else _walk(each, inputs) for each in value]
    return _model(key, value, inputs) if key in MODELS else _walk(value, inputs)


def _model(key: str, value: Any, inputs: Inputs) -> Any:
    word = key in ("source", "tokenizer_source") and value in ("union", "base")
    if value is None or word or (isinstance(value, Mapping) and "kind" in value):
        return _walk(value, inputs)
    if key in ("source", "tokenizer_source") and isinstance(value, str):
        value = value.removeprefix("model:")
    return whole_path(parse_reference(value, key), inputs)
