"""Independent component alignment: gradients made orthogonal and of equal length, as near to themselves as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.preference import PreferenceAggregator
from accord.errors import ConfigurationError, suggest
from accord.linalg import normalise, precision, spectrum
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
    of the authors' code, which takes them over the singular values that are kept. That code, and its ports, tell
    rounding by the Gramian's eigenvalues, among which a gradient a thousandth as long as another passes for it: in
    single precision such a task is dropped, and the update jumps to the scale of the next. Here the cosines tell, and a
    short gradient counts as long as it has a direction of its own.
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
        cosines, norms = normalise(matrix)
        values, vectors = spectrum(cosines)
        kept = values > len(values) * precision(matrix) * values[-1]
        # The gradients in coordinates of their span, longest first: so graded, the factor that orthogonalisation leaves
        # keeps its small singular values to the last digits, which the Gramian's squares would lose.
        order = np.argsort(-norms)
        columns = np.sqrt(values[kept])[:, None] * (vectors[:, kept].T * (norms / norms.max()))[:, order]
        _, lengths, right = np.linalg.svd(np.linalg.qr(columns, mode="r"), full_matrices=False)
        aligned = np.zeros_like(norms)
        aligned[order] = (right.T / lengths) @ (right @ preference.numpy()[order])
        return torch.from_numpy(SCALES[self.scale](lengths**2) * aligned)

    def extra_repr(self) -> str:
        return f"scale={self.scale!r}"
