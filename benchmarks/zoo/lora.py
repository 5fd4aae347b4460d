"""LoRA: the two factors that are trained in a layer, and how they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

ALPHA = 2.0  # times the rank, in PEFT's terms


class LowRank(nn.Module):
    """``W + 2 B A`` with a frozen W (Hu et al., LoRA, 2022); ``B`` is 0 at first."""

    def __init__(self, rows: int, columns: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, columns).uniform_(-1, 1, generator=generator) * columns**-0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return weight + ALPHA * self.b @ self.a


def adapt(trunk: nn.Module, names: Sequence[str], rank: int, generator: torch.Generator) -> None:
    """Freeze a trunk, and let factors be trained in the linear layers whose names end so."""
    trunk.requires_grad_(False)
    # A list, because layers are changed on the way.
    layers = [layer for name, layer in trunk.named_modules() if name.endswith(tuple(names))]
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        change = LowRank(layer.out_features, layer.in_features, rank, generator)
        parametrize.register_parametrization(layer, "weight", change)


def fold(trunk: nn.Module, prefix: str = "trunk.") -> dict[str, Tensor]:
    """Add the products of a trunk's factors to its weights, and return the factors by PEFT's names of them."""
    found = {}
    for name, layer in list(trunk.named_modules()):
        if parametrize.is_parametrized(layer, "weight"):
            change = layer.get_submodule("parametrizations.weight.0")
            for key, kind in (("a", "A"), ("b", "B")):
                found[f"base_model.model.{prefix}{name}.lora_{kind}.weight"] = (
                    change.get_parameter(key).detach().clone()
                )
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return found


def write(factors: Mapping[str, Tensor], folder: Path, scale: float = ALPHA) -> Path:
    """Write factors as an adapter of PEFT, whose change of a weight is ``scale B A``."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = next(value.shape[0] for name, value in factors.items() if "lora_A" in name)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": scale * rank}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    save_file({name: value.contiguous() for name, value in factors.items()}, folder / "adapter_model.safetensors")
    return folder
