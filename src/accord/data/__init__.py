"""Tables: opened from anywhere, understood, checked, split, and encoded for a model.

Names are imported on first use: the registry of data sets must not cost an import of PyTorch, nor this package one of
the table engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accord.data import datasets
    from accord.data.encoder import FeatureEncoder
    from accord.data.features import FeatureLayout, Features
    from accord.data.fingerprints import fingerprint, what_changed
    from accord.data.infer import infer_schema
    from accord.data.infinite import count_infinite
    from accord.data.leakage import Leak, find_leakage
    from accord.data.open import open_table
    from accord.data.schema import Column, Schema
    from accord.data.splits import Split, split
    from accord.data.store import read_parquet, replacing, write_parquet
    from accord.data.table import Table, concat
    from accord.data.text import TextEncoder
    from accord.data.transformer_text import TransformerText

_HOMES = {
    "Column": "schema",
    "FeatureEncoder": "encoder",
    "FeatureLayout": "features",
    "Features": "features",
    "Leak": "leakage",
    "Schema": "schema",
    "Split": "splits",
    "Table": "table",
    "TextEncoder": "text",
    "TransformerText": "transformer_text",
    "concat": "table",
    "count_infinite": "infinite",
    "find_leakage": "leakage",
    "fingerprint": "fingerprints",
    "infer_schema": "infer",
    "open_table": "open",
    "read_parquet": "store",
    "replacing": "store",
    "split": "splits",
    "what_changed": "fingerprints",
    "write_parquet": "store",
}

__all__ = [
    "Column",
    "FeatureEncoder",
    "FeatureLayout",
    "Features",
    "Leak",
    "Schema",
    "Split",
    "Table",
    "TextEncoder",
    "TransformerText",
    "concat",
    "count_infinite",
    "datasets",
    "find_leakage",
    "fingerprint",
    "infer_schema",
    "open_table",
    "read_parquet",
    "replacing",
    "split",
    "what_changed",
    "write_parquet",
]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return importlib.import_module("accord.data.datasets")
    if name in _HOMES:
        return getattr(importlib.import_module(f"accord.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'accord.data' has no attribute {name!r}")
