"""Models with a head of their own beside models whose head is their embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from accord.merging.recipe.configuration import INNER
from accord.merging.recipe.inputs import Inputs, Model
from accord.merging.recipe.schema import Recipe
from accord.merging.recipe.view import View
from accord.merging.vocabulary.tensors import table_of

HEAD, TIED = "lm_head.weight", "tie_word_embeddings"


def give_heads(recipe: Recipe, inputs: Inputs) -> list[Model]:
    """Give models whose head is their embedding a head of their own, if other models have one; return the former.

    A recipe that says what becomes of missing or extra tensors is taken at its word, and nothing is done.
    """
    if recipe.missing != "refuse" or recipe.extra != "refuse":
        return []
    models = [inputs.model(reference) for reference in recipe.references()]
    heads = [n for model in models if not _tied(model.config) for n in model.tensors if n.endswith(HEAD)]
    given = [
        _with_heads(model, lacks)
        for model in models
        if _tied(model.config) and (lacks := [head for head in heads if head not in model.tensors])
    ]
    for model in given:
        inputs.put(model)
    return given


def _with_heads(model: Model, heads: Sequence[str]) -> Model:
    table, _ = table_of(model.tensors, model.label)
    names = {**{name: name for name in model.tensors}, **dict.fromkeys(heads, table)}
    return replace(model, tensors=View(model.label, model.tensors, names, {}))


def untied(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a model that got a head of its own."""
    result = dict(config)
    for key in INNER:
        if isinstance(config.get(key), dict) and TIED in config[key]:
            result[key] = {**config[key], TIED: False}
    return {**result, TIED: False}


def _tied(config: Mapping[str, Any]) -> bool:
    parts = [config, *(config[key] for key in INNER if isinstance(config.get(key), dict))]
    return any(part.get(TIED) is True for part in parts)
