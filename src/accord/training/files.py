"""Files that are either whole or not there: written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from accord.data import replacing
from accord.errors import RunError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a :class:`RunError` that names ``path`` and says how to go on.

    What stood at ``path`` before still stands.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RunError(
            f"could not write {path}: {error.strerror or error}. What was there before is unchanged; "
            "free some space or choose another directory, then run the same command with --resume."
        ) from error


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` on a temporary neighbour of ``path`` and rename it into place."""
    with writing(path), replacing(path) as part:
        write(part)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomic(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinities become ``null``, which every reader accepts."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; damage is a :class:`RunError` that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {path.parent} is not a complete run directory") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> None:
    """Write named tensors and a JSON header as safetensors, atomically."""
    # Tied and strided tensors would be refused or written twice; a contiguous copy of each is always right.
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    data = save(plain, metadata={"accord": json.dumps(meta or {})})
    write_atomic(path, lambda part: part.write_bytes(data))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote. The format holds numbers only: nothing in it can run."""
    try:
        with safe_open(str(path), framework="pt") as handle:
            meta = json.loads((handle.metadata() or {}).get("accord", "{}"))
            # A copy: the mapping would otherwise keep the file open and change with it.
            return {name: handle.get_tensor(name).clone() for name in handle.keys()}, meta  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {path.parent} is not a complete run directory") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise RunError(f"{path} is damaged or is not a safetensors file: {error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, Tensor):
        return _finite(value.tolist())
    return value


def flatten(prefix: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """Move the tensors out of nested state into ``tensors``; return the rest with references in their place."""
    if isinstance(value, Tensor):
        tensors[prefix] = value
        return {"tensor": prefix}
    if isinstance(value, Mapping):
        return {"map": [[_key(key), flatten(f"{prefix}.{key}", item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [flatten(f"{prefix}.{i}", item, tensors) for i, item in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise RunError(f"state {prefix} holds a {type(value).__name__}, which cannot be stored without executing code")


def unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo :func:`flatten`."""
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "map":
        return {key: unflatten(item, tensors) for key, item in content}
    if kind == "list":
        return [unflatten(item, tensors) for item in content]
    return content


def _key(key: Any) -> int | str:
    if isinstance(key, (int, str)):
        return key
    raise RunError(f"state has the key {key!r}; only text and whole numbers can be stored")
