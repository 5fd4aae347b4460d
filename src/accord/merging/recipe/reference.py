"""Which checkpoint a recipe means: a path, a Hugging Face name that was downloaded, and an adapter on top of either."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from accord.errors import ConfigurationError, DataError
from accord.merging.open_checkpoint import expanded

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Reference:
    """A checkpoint as a recipe names it.

    Attributes:
        path: a file, a folder, or ``owner/name`` of a repository in the local Hugging Face cache.
        adapter: likewise, of an adapter that is applied to it; ``None`` for none.
        revision: of the repository, where the recipe names one.
        adapter_revision: of the adapter's.
    """

    path: str
    adapter: str | None = None
    revision: str | None = None
    adapter_revision: str | None = None

    def __str__(self) -> str:
        return _joined(self.path, self.revision) + (
            "" if self.adapter is None else "+" + _joined(self.adapter, self.adapter_revision)
        )


def parse_reference(value: Any, where: str) -> Reference:
    """Return the reference that a recipe writes as ``path``, ``path@revision``, ``path+adapter`` or a mapping.

    Raises:
        ConfigurationError: it is none of these; ``where`` says where it stands.
    """
    if isinstance(value, Mapping):
        if unknown := sorted(set(map(str, value)) - {"model", "lora", "path", "revision", "override_architecture"}):
            raise ConfigurationError(f"{where}: unknown key {unknown[0]!r} of a model; write path+adapter as one text")
        model = parse_reference(value.get("model", value.get("path")), where)
        revision = model.revision or _text(value.get("revision"))
        if (lora := value.get("lora")) is None:
            return Reference(model.path, model.adapter, revision, model.adapter_revision)
        adapter = parse_reference(lora, where)
        return Reference(model.path, adapter.path, revision, adapter.revision)
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{where}: {value!r} names no model; give a path, or path+adapter")
    path, _, adapter = value.partition("+") if not _exists(expanded(value)) else (value, "", "")
    model_path, revision = _split(path)
    adapter_path, adapter_revision = _split(adapter)
    return Reference(model_path, adapter_path or None, revision, adapter_revision)


def locate(path: str, revision: str | None, folder: Path) -> Path:
    """Return where a checkpoint lies: as given, beside the recipe, or in the Hugging Face cache.

    Raises:
        DataError: nowhere; nothing is downloaded.
    """
    given = expanded(path)
    for candidate in (given, folder / given):
        if _exists(candidate):
            return candidate
    if HUB_NAME.fullmatch(path):
        if (cached := _cached(path, revision)) is not None:
            return cached
        option = f" --revision {revision}" if revision else ""
        raise DataError(
            f"there is no checkpoint {path}, here or in the Hugging Face cache; nothing is downloaded. If it is a "
            f"repository, fetch it first: hf download {path}{option}"
        )
    raise DataError(f"there is no checkpoint {path}, neither here nor beside the recipe")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise DataError(f"could not look at {path}: {error.strerror or error}") from error


def _cached(name: str, revision: str | None) -> Path | None:
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    repository = hub / ("models--" + name.replace("/", "--"))
    named = repository / "refs" / (revision or "main")
    commit = named.read_text("utf-8").strip() if named.is_file() else revision or ""
    snapshot = repository / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def _split(path: str) -> tuple[str, str | None]:
    revision = ""
    if "@" in path and not _exists(expanded(path)):
        path, _, revision = path.rpartition("@")
    # ./base/ is the same model as base
    return str(PurePosixPath(path.strip())) if path.strip() else "", revision.strip() or None


def _joined(path: str, revision: str | None) -> str:
    return path if revision is None else f"{path}@{revision}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
