"""The rows that live figures are of: chosen among those of validation, and kept encoded beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from accord.data import Features
from accord.errors import RunError
from accord.tasks import Target
from accord.training.files import read_tensors, write_tensors

MOST = 3000
PARTS = ("numeric", "indicators", "categorical", "text")


@dataclass(frozen=True)
class Rows:
    """Encoded rows with their labels.

    Attributes:
        features: of N rows.
        targets: of the same rows, one per task.
    """

    features: Features
    targets: Sequence[Target]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: Tensor) -> Rows:
        """Return the given rows ``[n]``, stored as narrowly as before."""
        parts = (part.index_select(0, rows) for part in self.features.parts())
        return Rows(Features(*parts), [target.take(rows) for target in self.targets])

    def save(self, path: Path) -> None:
        """Write the rows as safetensors."""
        tensors: dict[str, Tensor] = dict(zip(PARTS, self.features.parts(), strict=True))
        for t, target in enumerate(self.targets):
            tensors |= {f"values.{t}": target.values, f"observed.{t}": target.observed}
            if target.weights is not None:
                tensors[f"weights.{t}"] = target.weights
        write_tensors(path, tensors)

    @classmethod
    def load(cls, path: Path, tasks: int) -> Rows:
        """Read what :meth:`save` wrote.

        Raises:
            RunError: the file is missing, damaged, or of another number of tasks.
        """
        tensors, _ = read_tensors(path)
        try:
            targets = [
                Target(tensors[f"values.{t}"], tensors[f"observed.{t}"], tensors.get(f"weights.{t}"))
                for t in range(tasks)
            ]
            return cls(Features(*(tensors[name] for name in PARTS)), targets)
        except KeyError as error:
            raise RunError(f"{path} is not what Accord wrote: there is no {error}") from error


def choose_rows(rows: Tensor, targets: Sequence[Target], seed: int) -> Tensor:
    """Return at most :data:`MOST` of ``rows`` ``[n]``, in order; all of them if a task would be left without labels."""
    if len(rows) <= MOST:
        return rows
    chosen = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:MOST]].sort().values
    return chosen if all(bool(target.observed[chosen].any()) for target in targets) else rows
