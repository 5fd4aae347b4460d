"""An embedding whose rows stand in another order, and come from several models, picked out while it is read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.lazy import STRETCH, LazyTensor

Ints = npt.NDArray[np.int64]
# In place of a model's number: a row of zeros, the mean of those models that know the token, the mean of all tokens.
ZERO, MEAN, PADDING = -1, -2, -3


@dataclass(frozen=True, eq=False)
class Origins:
    """Where the rows of an embedding come from.

    Attributes:
        model: of each row ``[V]``, or one of the numbers above.
        row: in that model ``[V]``.
        known: the row of each token in each model ``[n, V]``, negative where it does not know the token.
    """

    model: Ints
    row: Ints
    known: Ints


class RowTensor(LazyTensor):
    """One model's embedding in the vocabulary of the result.

    Args:
        tensors: the embedding of every model, ``[V_i, ...]``, plain or lazy.
        origins: where rows come from.
        dtype: of the model's own.
    """

    def __init__(self, tensors: Sequence[Tensor], origins: Origins, dtype: torch.dtype) -> None:
        super().__init__((len(origins.model), *tensors[0].shape[1:]), dtype)
        self.tensors = tensors
        self.origins = origins
        self._padding: Tensor | None = None
        self._lock = threading.Lock()

    def rows(self, first: int, last: int) -> Tensor:
        found = self._tokens(first, last)
        padded = torch.from_numpy(self.origins.model[first:last] == PADDING)
        if bool(padded.any()):
            found[padded] = self._mean()
        return found

    def _tokens(self, first: int, last: int) -> Tensor:
        """Return rows, those of padding left at 0."""
        models, rows = self.origins.model[first:last], self.origins.row[first:last]
        found = torch.zeros((last - first, self.width), dtype=self.compute)
        for model in np.unique(models[models >= 0]):
            (places,) = np.nonzero(models == model)
            found[torch.from_numpy(places)] = self._gather(int(model), rows[places])
        (places,) = np.nonzero(models == MEAN)
        if len(places):
            found[torch.from_numpy(places)] = self._average(first + places)
        return found

    def _average(self, places: Ints) -> Tensor:
        total = torch.zeros((len(places), self.width), dtype=self.compute)
        known = self.origins.known[:, places]
        for model, rows in enumerate(known):
            (has,) = np.nonzero(rows >= 0)
            if len(has):
                total[torch.from_numpy(has)] += self._gather(model, rows[has])
        return total / torch.from_numpy((known >= 0).sum(axis=0)).view(-1, 1)

    def _gather(self, model: int, rows: Ints) -> Tensor:
        tensor = self.tensors[model]
        if not isinstance(tensor, LazyTensor):
            picked = tensor.reshape(len(tensor), -1).index_select(0, torch.from_numpy(rows))
            return picked.to(self.compute)
        # Rows that follow each other are worked out together.
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = np.split(rows, cuts)
        return torch.cat([tensor.rows(int(run[0]), int(run[-1]) + 1).to(self.compute) for run in runs])

    def _mean(self) -> Tensor:
        """Return the mean of all rows that are tokens'; worked out once."""
        with self._lock:
            if self._padding is None:
                total, size = torch.zeros(self.width, dtype=torch.float64), len(self.origins.model)
                step = max(1, STRETCH // max(1, self.width))
                for first in range(0, size, step):
                    total += self._tokens(first, min(first + step, size)).sum(dim=0, dtype=torch.float64)
                tokens = int((self.origins.model != PADDING).sum())
                self._padding = (total / max(1, tokens)).to(self.compute)
            return self._padding
