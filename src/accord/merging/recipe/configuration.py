"""The configuration of a result: as that of the first of its models, with other numbers of layers and of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from accord.merging.recipe.inputs import Model

# What architectures call their number of layers.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
# Models of several parts keep that of the language model one level down.
INNER = ("text_config", "llm_config", "language_config")


def with_layers(config: Mapping[str, Any], picks: Sequence[tuple[Model, int]]) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration of stacked layers, and the keys that were changed.

    Lists with an entry for each layer, such as ``layer_types``, are put together from those of the layers' own models.

    Args:
        config: of the leading model.
        picks: the model and layer that each layer of the result comes from.
    """
    changed: list[str] = []

    def told(part: Mapping[str, Any], inner: str | None) -> dict[str, Any]:
        count = next((part[key] for key in LAYERS if isinstance(part.get(key), int)), None)
        result = dict(part)
        for key, value in part.items():
            if key in LAYERS and value == count:
                result[key] = len(picks)
            elif isinstance(value, list) and len(value) == count and count:
                result[key] = [_entry(model, inner, key, layer, value) for model, layer in picks]
            if result[key] != value:
                changed.append(key)
        return result

    result = told(config, None)
    for key in INNER:
        if isinstance(config.get(key), dict):
            result[key] = told(config[key], key)
    return result, changed


def with_tokens(config: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Return the configuration of a model with ``rows`` rows in its embeddings."""
    result = dict(config)
    for key in INNER:
        if isinstance(config.get(key), dict) and "vocab_size" in config[key]:
            result[key] = {**config[key], "vocab_size": rows}
    if "vocab_size" in config or result == config:
        result["vocab_size"] = rows
    return result


def layers_told(config: Mapping[str, Any]) -> int | None:
    """Return how many layers a configuration says there are, ``None`` where it does not."""
    for part in (config, *(config[key] for key in INNER if isinstance(config.get(key), dict))):
        for key in LAYERS:
            if isinstance(part.get(key), int):
                return part[key]
    return None


def as_bytes(config: Mapping[str, Any]) -> bytes:
    """Return the file."""
    return (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()


def _entry(model: Model, inner: str | None, key: str, layer: int, like: list[Any]) -> Any:
    config = model.config if inner is None else model.config.get(inner, {})
    own = config.get(key) if isinstance(config, Mapping) else None
    if isinstance(own, list) and layer < len(own):
        return own[layer]
    return like[min(layer, len(like) - 1)]
