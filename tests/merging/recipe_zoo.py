"""Tiny siblings on disk, under the names that the recipes of this folder have for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

RECIPES = Path(__file__).with_name("recipes")
LAYERS, HIDDEN = 4, 8
WORDS = ["<s>", "<|end|>", "the", "a", "cat", "dog", "sat", "ran", "on", "mat", "here", "there"]
OTHERS = ["<s>", "dog", "cat", "bye", "the", "<|end|>", "sun"]


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, HIDDEN)}
    for layer in range(LAYERS):
        stem = f"model.layers.{layer}"
        for name in ("q_proj", "o_proj"):
            found[f"{stem}.self_attn.{name}.weight"] = (HIDDEN, HIDDEN)
        found[f"{stem}.mlp.up_proj.weight"] = (2 * HIDDEN, HIDDEN)
        found[f"{stem}.mlp.down_proj.weight"] = (HIDDEN, 2 * HIDDEN)
        found[f"{stem}.input_layernorm.weight"] = (HIDDEN,)
    return {**found, "model.norm.weight": (HIDDEN,), "lm_head.weight": (vocabulary, HIDDEN)}


def state(seed: int, base: dict | None = None, vocabulary: int = len(WORDS)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in shapes(vocabulary).items()}
    return drawn if base is None else {name: base[name] + 0.1 * tensor for name, tensor in drawn.items()}


def write(folder: Path, tensors: dict[str, torch.Tensor], words: list[str] | None) -> None:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {"model_type": "llama", "num_hidden_layers": LAYERS, "vocab_size": len(tensors["lm_head.weight"])}
    config |= {"layer_types": [f"{folder.name}{layer}" for layer in range(LAYERS)], "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text("raise SystemExit")
    if words is not None:
        write_tokenizer(folder, words)


def write_tokenizer(folder: Path, words: list[str]) -> None:
    """Write a tokenizer in which tokens in angle brackets are added ones."""
    added = [word for word in words if word.startswith("<")]
    content = {
        "added_tokens": [{"id": words.index(word), "content": word, "special": True} for word in added],
        "model": {"type": "WordLevel", "vocab": {w: row for row, w in enumerate(words) if w not in added}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(content))
    decoder = {str(words.index(word)): {"content": word, "special": True} for word in added}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))


def write_adapter(folder: Path, factors: dict[str, tuple[torch.Tensor, torch.Tensor]], **config: object) -> None:
    """Write a LoRA adapter as PEFT does; ``factors`` are (A, B) by module."""
    folder.mkdir()
    rank = next(iter(factors.values()))[0].shape[0]
    told = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": sorted(factors), **config}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    tensors = {}
    for module, (a, b) in factors.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    save_file(tensors, folder / "adapter_model.safetensors")


def factors(seed: int, rank: int = 2) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    modules = ("model.layers.1.self_attn.q_proj", "model.layers.2.mlp.down_proj")
    return {
        module: (
            torch.randn(rank, shapes(1)[f"{module}.weight"][1], generator=generator),
            torch.randn(shapes(1)[f"{module}.weight"][0], rank, generator=generator),
        )
        for module in modules
    }


def write_zoo(root: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Write all checkpoints into ``root`` and return them."""
    base = state(0)
    states = {"base": base, "alpha": state(1, base), "beta": state(2, base), "gamma": state(3, base)}
    states["delta"] = state(4, vocabulary=len(OTHERS))
    for name, tensors in states.items():
        write(root / name, tensors, OTHERS if name == "delta" else WORDS)
    write_adapter(root / "lora", factors(5))
    return states


def with_recipes(root: Path) -> tuple[Path, dict[str, dict[str, np.ndarray]]]:
    """Write the siblings and the recipes of this folder to ``root``; return it, and the weights in float64."""
    states = write_zoo(root)
    for path in RECIPES.iterdir():
        shutil.copy(path, root)
    return root, {name: {k: v.double().numpy() for k, v in tensors.items()} for name, tensors in states.items()}
