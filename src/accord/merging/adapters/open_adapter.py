"""Open an adapter folder of PEFT: its configuration, checked, and its factors, unread."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from accord.errors import DataError
from accord.merging.adapters.factors import Factors
from accord.merging.checkpoint import Checkpoint
from accord.merging.open_checkpoint import expanded, open_checkpoint

ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
PREFIX = "base_model.model."
FACTOR = re.compile(r"^(.+)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(?:\.(.+))?$")
# These initialisations change the base, too, so that the saved factors are not all of the change.
CHANGED_BASE = ("pissa", "olora", "corda", "loftq")
REFUSED = {
    "lora_bias": "biases of its factors (lora_bias)",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "single trained tokens (trainable_token_indices)",
    "target_parameters": "factors of bare parameters (target_parameters)",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "activation by tokens (aLoRA)",
    "megatron_config": "Megatron layers",
}


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter.

    Attributes:
        label: how messages call it: its path.
        config: its ``adapter_config.json``.
        checkpoint: its file, for the record.
        modules: its factors by module.
        whole: tensors that it replaces as a whole (``modules_to_save``, biases), by their name in the base.
    """

    label: str
    config: Mapping[str, Any]
    checkpoint: Checkpoint
    modules: Mapping[str, Factors]
    whole: Mapping[str, Tensor]


def open_adapter(path: str | Path) -> Adapter:
    """Open a folder with ``adapter_config.json`` and ``adapter_model.safetensors``.

    Raises:
        DataError: it is no LoRA adapter, damaged, or of a kind whose change of the base is not ``B A``.
    """
    folder = expanded(path)
    config = _config(folder)
    file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise DataError(f"{folder} holds no {WEIGHTS[0]}")
    opened = open_checkpoint(file)
    checkpoint = Checkpoint(str(folder), folder, opened.files, opened.where)
    found: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for key in checkpoint:
        name = key.removeprefix(PREFIX)
        if (match := FACTOR.match(name)) is None:
            whole[_plain(name)] = checkpoint[key]
        elif match[3] is not None and match[3].endswith("bias"):
            raise DataError(f"{folder} holds {key}: biases of factors are not supported")
        else:
            found.setdefault(match[1], {})[match[2]] = checkpoint[key]
    if not found:
        raise DataError(f"{folder} holds no factors of LoRA")
    modules = {module: _factors(folder, config, module, parts) for module, parts in found.items()}
    return Adapter(str(folder), config, checkpoint, modules, whole)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{folder} is no adapter: it holds no {ADAPTER_CONFIG}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or str(config.get("peft_type", "LORA")).upper() != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else config
        raise DataError(f"{folder} is an adapter of the kind {kind}; only LoRA (with rsLoRA and DoRA) can be merged")
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(CHANGED_BASE):
        raise DataError(
            f"{folder} was started by {start}, which changed the base itself; convert it to plain LoRA first "
            "(PEFT: save_pretrained(path_initial_model_for_weight_conversion=...))"
        )
    for key, what in REFUSED.items():
        if config.get(key):
            raise DataError(f"{folder} has {what}, which is not supported")
    return config


def _factors(folder: Path, config: Mapping[str, Any], module: str, parts: Mapping[str, Tensor]) -> Factors:
    kind: Literal["layer", "embedding"] = "embedding" if "lora_embedding_A" in parts else "layer"
    a, b = (parts.get(f"lora_{'embedding_' if kind == 'embedding' else ''}{side}") for side in "AB")
    if a is None or b is None:
        raise DataError(f"{folder} holds only one of the two factors of {module}")
    rank = _by_pattern(folder, config, "rank_pattern", module, config.get("r", a.shape[0]))
    if not rank or a.shape[0] != rank or b.shape[1] != rank:
        raise DataError(
            f"{folder} says that {module} has rank {rank}, and holds factors {list(a.shape)} and {list(b.shape)}"
        )
    alpha = _by_pattern(folder, config, "alpha_pattern", module, config.get("lora_alpha", rank))
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    magnitude = parts.get("lora_magnitude_vector")
    if magnitude is None and config.get("use_dora"):
        raise DataError(f"{folder} is a DoRA adapter, and holds no magnitudes for {module}")
    return Factors(module, kind, a, b, scale, magnitude, bool(config.get("fan_in_fan_out")))


def _by_pattern(folder: Path, config: Mapping[str, Any], key: str, module: str, default: Any) -> float:
    """Return the value of the first pattern that the end of a module's name fits, as PEFT does it."""
    try:
        patterns = (config.get(key) or {}).items()
        value = next((each for pattern, each in patterns if re.match(rf"(.*\.)?({pattern})$", module)), default)
    except (AttributeError, re.error) as error:
        raise DataError(f"{folder / ADAPTER_CONFIG}: {key} maps patterns of names to numbers ({error})") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        name = "lora_alpha" if key == "alpha_pattern" else "r"
        raise DataError(f"{folder / ADAPTER_CONFIG}: {name} or {key} has {value!r} for {module}, which is no number")
    return value


def _plain(name: str) -> str:
    """Return a tensor's name in the base without what PEFT wraps around it."""
    return re.sub(r"\.(modules_to_save(\.default)?|base_layer|original_module)(?=\.)", "", name)
