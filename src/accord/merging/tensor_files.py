"""Open one file of tensors, without running anything that is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from accord.errors import DataError
from accord.merging.checkpoint import TensorFile

# What Git puts in place of a large file until it is fetched begins so.
POINTER = b"version https://git-lfs"
PYTORCH = (".bin", ".pt", ".pth")
# Training scripts store the weights one level down, under one of these names.
INSIDE = ("state_dict", "model", "model_state_dict")


class SafetensorsFile:
    """A ``.safetensors`` file; its header is checked whole when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = safe_open(str(path), framework="pt")
            self._names = list(self._handle.keys())
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise damaged(path, error) from error

    def names(self) -> list[str]:
        """Return the names, in the order of the file."""
        return self._names

    def tensor(self, name: str) -> Tensor:
        """Return a tensor that lies in the mapped file."""
        try:
            return self._handle.get_tensor(name)
        except (SafetensorError, RuntimeError, TypeError, KeyError) as error:
            raise DataError(f"{self.path}: {name} is of a type that cannot be merged: {error}") from error


class PyTorchFile:
    """A file of ``torch.save`` that holds named tensors and nothing else, in the format of PyTorch 1.6 and later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # weights_only refuses whatever is no tensor or plain container, before any of it could run.
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            raise _refused(path, error) from error
        self._tensors = _plain(path, held)

    def names(self) -> list[str]:
        """Return the names, in the order of the file."""
        return list(self._tensors)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor that lies in the mapped file."""
        return self._tensors[name]


def open_file(path: Path) -> TensorFile:
    """Open a ``.safetensors``, ``.bin``, ``.pt`` or ``.pth`` file.

    Raises:
        DataError: it is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes): download or copy it again")
    if _points(path):
        raise DataError(f"{path} is a pointer of Git LFS, and not the file itself: run `git lfs pull` in its folder")
    if path.suffix == ".safetensors":
        return SafetensorsFile(path)
    if path.suffix in PYTORCH:
        return PyTorchFile(path)
    raise DataError(f"{path} is not a checkpoint: expected .safetensors, {', '.join(PYTORCH)} or a folder of them")


def _points(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def damaged(path: Path, error: Exception) -> DataError:
    """Return the error for a file whose content is not what its format says."""
    return DataError(f"{path} is damaged, cut short, or no safetensors file ({error}): download or copy it again")


def _refused(path: Path, error: Exception) -> DataError:
    text = str(error)
    if "weights_only" in text or "Unsupported" in text or "WeightsUnpickler" in text:
        return DataError(
            f"{path} holds more than tensors, which loading would have to execute; nothing of it was run. "
            "Ask its author for a .safetensors file."
        )
    if "mmap can only be used" in text or "mmap" in text:
        return DataError(
            f"{path} is in the format from before PyTorch 1.6, or no checkpoint at all; store it as .safetensors first"
        )
    return DataError(f"{path} is damaged, cut short, or no PyTorch file: download or copy it again")


def _plain(path: Path, held: object) -> dict[str, Tensor]:
    if isinstance(held, Mapping):
        for key in INSIDE:
            if isinstance(held.get(key), Mapping):
                held = held[key]
                break
    if not isinstance(held, Mapping) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in held.items()):
        raise DataError(f"{path} is no dictionary of named tensors; save model.state_dict() alone")
    for name, tensor in held.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            kind = "without content" if tensor.is_meta else "quantised" if tensor.is_quantized else "sparse"
            raise DataError(f"{name} of {path} is {kind}; only plain tensors can be merged: convert it first")
    return {str(name): tensor.detach() for name, tensor in held.items()}
