"""What a model's data says about its weights, kept as a file that others can merge with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from accord.errors import ConfigurationError, DataError

Kind = Literal["fisher", "gramian"]


@dataclass(frozen=True, eq=False, repr=False)
class Statistics(Mapping[str, Tensor]):
    """Tensors by the name of the parameter that they speak of.

    Attributes:
        kind: ``"fisher"``: the diagonal Fisher information, of the parameter's shape; ``"gramian"``: the mean outer
            product ``[in, in]`` of a linear layer's inputs.
        samples: how many samples (``"fisher"``) or input rows (``"gramian"``) they are means over.
        tensors: by parameter name.
    """

    kind: Kind
    samples: int
    tensors: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __repr__(self) -> str:
        # A method's description goes into manifests, and must tell one set of statistics from another.
        digest = hashlib.sha256()
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(self.tensors[name].detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return f"<{self.kind} of {self.samples} samples, {digest.hexdigest()[:12]}>"

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; nothing in it executes code."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.tensors.items()}
        save_file(tensors, path, {"accord": f"{self.kind} statistics", "samples": str(self.samples)})

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: the file is no safetensors file, or holds something else.
        """
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        except (SafetensorError, OSError) as broken:
            raise DataError(f"{path} cannot be read as statistics: {broken}") from broken
        kind = facts.get("accord", "").removesuffix(" statistics")
        if kind not in ("fisher", "gramian") or not facts.get("samples", "").isdigit():
            raise DataError(f"{path} holds no statistics; write them with Statistics.save")
        return cls(kind, int(facts["samples"]), tensors)


def check_statistics(given: object, kind: Kind, models: int | None = None) -> list[Mapping[str, Tensor]]:
    """Return one mapping per model.

    Raises:
        ConfigurationError: they are of another kind, or not as many as models.
    """
    found = list(given) if isinstance(given, list | tuple) else None
    if not found or not all(isinstance(one, Mapping) for one in found):
        raise ConfigurationError("statistics must be a list with one mapping of tensors for each model")
    for place, one in enumerate(found):
        if isinstance(one, Statistics) and one.kind != kind:
            raise ConfigurationError(f"statistics {place} are of the kind {one.kind!r}; {kind!r} is needed")
    if models is not None and len(found) != models:
        raise ConfigurationError(f"there are {len(found)} statistics for {models} models; give one for each, in order")
    return found
