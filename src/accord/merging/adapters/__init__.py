"""LoRA adapters in PEFT's format, as what they are: products of two factors."""

from accord.merging.adapters.adapted import adapt
from accord.merging.adapters.merge_adapters import MergedAdapter, merge_adapters
from accord.merging.adapters.open_adapter import Adapter, open_adapter

__all__ = ["Adapter", "MergedAdapter", "adapt", "merge_adapters", "open_adapter"]
