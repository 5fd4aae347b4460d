"""The checkpoints of a recipe, opened once each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from accord.errors import ConfigurationError, DataError
from accord.merging.adapters.adapted import adapt
from accord.merging.adapters.open_adapter import ADAPTER_CONFIG, Adapter, open_adapter
from accord.merging.checkpoint import Checkpoint
from accord.merging.open_checkpoint import open_checkpoint
from accord.merging.recipe.reference import Reference, locate


@dataclass(frozen=True, eq=False)
class Model:
    """A model of a recipe.

    Attributes:
        reference: how the recipe names it.
        path: where it lies.
        tensors: its tensors, an adapter's part in them.
        read: the checkpoints that are read for it.
        config: what its ``config.json`` says; empty where there is none.
    """

    reference: Reference
    path: Path
    tensors: Mapping[str, Tensor]
    read: tuple[Checkpoint, ...]
    config: Mapping[str, Any]

    @property
    def label(self) -> str:
        """How messages call it."""
        return str(self.reference)

    @property
    def folder(self) -> Path | None:
        """Where its configuration and tokenizer lie."""
        return self.read[0].folder


class Inputs:
    """Opens models.

    Args:
        folder: of the recipe; relative paths are looked for here, and then in it.
        made: results of other recipes by name.
    """

    def __init__(self, folder: Path, made: Mapping[str, Path]) -> None:
        self.folder = folder
        self.made = made
        self._models: dict[Reference, Model] = {}

    @property
    def opened(self) -> list[Model]:
        """Return what has been opened, in that order."""
        return list(self._models.values())

    def locate(self, path: str, revision: str | None = None) -> Path:
        """Return where a model or adapter lies."""
        return self.made[path] if path in self.made else locate(path, revision, self.folder)

    def is_adapter(self, reference: Reference) -> bool:
        """Return whether a reference is that of an adapter without a base."""
        path = self.locate(reference.path, reference.revision)
        return reference.adapter is None and (path / ADAPTER_CONFIG).is_file() and not (path / "config.json").is_file()

    def adapter(self, reference: Reference) -> Adapter:
        """Open an adapter without a base."""
        return open_adapter(self.locate(reference.path, reference.revision))

    def model(self, reference: Reference) -> Model:
        """Open a model, with its adapter if it has one.

        Raises:
            DataError: it is not there, or damaged.
            ConfigurationError: it is an adapter, of which a base is missing.
        """
        if reference not in self._models:
            self._models[reference] = self._open(reference)
        return self._models[reference]

    def put(self, model: Model) -> None:
        """Take ``model`` from now on for what its reference names."""
        self._models[model.reference] = model

    def _open(self, reference: Reference) -> Model:
        if self.is_adapter(reference):
            raise ConfigurationError(
                f"{reference} is an adapter: write BASE+{reference}, or merge adapters alone, into an adapter"
            )
        path = self.locate(reference.path, reference.revision)
        base = open_checkpoint(path)
        if not len(base):
            raise DataError(f"{path} holds no tensors: download or copy it again")
        config = _config(base.folder)
        if reference.adapter is None:
            return Model(reference, path, base, (base,), config)
        adapter = open_adapter(self.locate(reference.adapter, reference.adapter_revision))
        return Model(reference, path, adapt(base, adapter), (base, adapter.checkpoint), config)


def _config(folder: Path | None) -> Mapping[str, Any]:
    if folder is None or not (folder / "config.json").is_file():
        return {}
    try:
        content = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / 'config.json'} is no JSON: {error}") from error
    except OSError as error:
        raise DataError(f"could not read {folder / 'config.json'}: {error.strerror or error}") from error
    return content if isinstance(content, dict) else {}
