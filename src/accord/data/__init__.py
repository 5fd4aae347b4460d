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
    from accord.data.infer import infer_schema
    from accord.data.leakage import Leak, find_leakage
    from accord.data.open import open_table
    from accord.data.schema import Column, Schema
    from accord.data.splits import Split, split
    from accord.data.store import read_parquet, replacing, write_parquet
    from accord.data.table import Table, concat
    from accord.data.text import TextEncoder

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
    "concat": "table",
    "find_leakage": "leakage",
    "infer_schema": "infer",
    "open_table": "open",
    "read_parquet": "store",
    "replacing": "store",
    "split": "splits",
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
    "concat",
    "datasets",
    "find_leakage",
    "infer_schema",
    "open_table",
    "read_parquet",
    "replacing",
    "split",
    "write_parquet",
]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return importlib.import_module("accord.data.datasets")
    if name in _HOMES:
        return getattr(importlib.import_module(f"accord.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'accord.data' has no attribute {name!r}")
