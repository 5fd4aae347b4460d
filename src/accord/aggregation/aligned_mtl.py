"""Independent component alignment: gradients made orthogonal and of equal length, as near to themselves as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.preference import PreferenceAggregator
from accord.errors import ConfigurationError, suggest
from accord.linalg import precision, spectrum
from accord.method import Method

Scale = Literal["min", "median", "rmse"]

# What the common length becomes, given the eigenvalues of the Gramian (squared singular values of the Jacobian).
SCALES: dict[str, Callable[[np.ndarray], float]] = {
    "min": lambda values: float(np.sqrt(values.min())),
    "median": lambda values: float(np.sqrt(np.sort(values)[(len(values) - 1) // 2])),
    "rmse": lambda values: float(np.sqrt(values.mean())),
}


class AlignedMTL(PreferenceAggregator):
    """Replace the Jacobian by the nearest one whose singular values are all equal, then weight its rows.

    With ``J = U S V'`` the aligned Jacobian is ``s U V'``, whose condition number is 1: no task dominates and none
    conflicts with another. The update ``sum_i p_i (s U V')_i`` is ``J' w`` with ``w = s U S^-1 U' p``. Singular values
    that are 0 up to rounding are left out, as in the paper. What is aligned are the rows, not the update: it may still
    conflict with a gradient itself, the more so the more their norms differ.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, of either sign. Cost O(T^3) after the
    Gramian.

    Args:
        scale: what ``s`` is: ``"min"``, the smallest singular value (the paper's choice, which keeps its convergence
            proof); ``"median"``, the lower median of them; ``"rmse"``, the root of their mean square.
        preference: ``[T]`` relative importances ``p``; equal if ``None``.

    Source: Senushkin et al., Independent Component Alignment for Multi-Task Learning, 2023; the three scales are those
    of the authors' code, which takes them over the singular values that are kept.
    """

    method: ClassVar[Method] = Method(
        title="Aligned-MTL",
        paper="Independent Component Alignment for Multi-Task Learning",
        year=2023,
        url="https://arxiv.org/abs/2305.19000",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
        catalogue=(20,),
    )

    def __init__(self, scale: Scale = "min", preference: Sequence[float] | Tensor | None = None) -> None:
        if scale not in get_args(Scale):
            raise ConfigurationError(f"AlignedMTL has no scale {scale!r}. {suggest(str(scale), get_args(Scale))}")
        super().__init__(preference)
        self.scale = scale

    def solve(self, gramian: Tensor, preference: Tensor) -> Tensor:
        matrix = gramian.numpy()
        values, vectors = spectrum(matrix / np.abs(matrix).max())
        kept = values > len(values) * precision(matrix) * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        aligned = (vectors / np.sqrt(values)) @ (vectors.T @ preference.numpy())
        return torch.from_numpy(SCALES[self.scale](values) * aligned)

    def extra_repr(self) -> str:
        return f"scale={self.scale!r}"
