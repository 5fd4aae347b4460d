"""A merged vector that disturbs no task's own inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.iso_c import add
from accord.merging.matrix_method import MatrixMethod, Others, check_others
from accord.merging.spectra import svd_work
from accord.method import Method

# Directions of the inputs that carry less than this share of the strongest are left as they are.
FLAT = 1e-12


class WUDI(MatrixMethod):
    """Find the task vector that differs least from each task's along the directions that task has moved in.

    The rows of a task vector span the inputs it was trained on, so that the loss
    ``sum_i |(tau - tau_i) tau_i^T|^2 / |tau_i|^2`` (Frobenius norms) measures the interference with task ``i`` without
    any data. It is minimised for each matrix by Adam, starting from the sum of the task vectors. Other tensors are
    averaged.

    Cost: two products of ``[m, k]`` with ``[k, k]`` per model, then one for each step; the gradient ``2 (tau A - B)``
    needs only ``A = sum_i tau_i^T tau_i / |tau_i|^2`` and ``B = sum_i tau_i tau_i^T tau_i / |tau_i|^2``.

    Args:
        solver: ``"adam"`` as in the paper, which stays near the sum; or ``"exact"``, the minimiser that is nearest to
            the sum (one eigendecomposition, no steps).
        steps: of Adam.
        rate: step size of Adam.
        scale: factor of the merged task vector.
        exclude: patterns of matrices that are treated as other tensors. The authors merge the matrices of attention and
            of MLPs only.
        others: what becomes of other tensors: ``"mean"`` as in FusionBench, or ``"base"`` as in the authors' code.

    One model comes back: there is nothing to minimise.

    Source: Cheng et al., Whoever Started the Interference Should End It: Guiding Data-Free Model Merging via Task
    Vectors, 2025.
    """

    method: ClassVar[Method] = Method(
        title="WUDI-Merging",
        paper="Whoever Started the Interference Should End It: Guiding Data-Free Model Merging via Task Vectors",
        year=2025,
        url="https://arxiv.org/abs/2503.08099",
        needs="parameters",
        cost="2 n + 300 products per matrix",
    )

    def __init__(
        self,
        solver: Literal["adam", "exact"] = "adam",
        steps: int = 300,
        rate: float = 1e-5,
        scale: float = 1.0,
        exclude: Sequence[str] = (),
        others: Others = "mean",
    ) -> None:
        check_others(others)
        if solver not in ("adam", "exact"):
            raise ConfigurationError(f"solver is 'adam' or 'exact'; got {solver!r}")
        if steps < 0 or not rate > 0:
            raise ConfigurationError(f"steps is 0 or more and rate above 0; got steps={steps} and rate={rate}")
        self.solver: Literal["adam", "exact"] = solver
        self.steps = steps
        self.rate = rate
        self.scale = scale
        self.exclude = exclude
        self.others: Others = others

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        start = add(deltas)
        if len(deltas) == 1:
            return start
        inputs, target = _terms(deltas)
        if self.solver == "exact":
            return start.add_(_solve(inputs, target.sub_(start @ inputs)))
        return descend(start, lambda point: torch.matmul(point, inputs).sub_(target).mul_(2.0), self.steps, self.rate)

    def work(self, rows: int, columns: int, models: int) -> int:
        return 7 * rows * columns + 6 * columns * columns + svd_work(columns, columns)


def _terms(deltas: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return ``A [k, k]`` and ``B [m, k]``; task vectors of zeros have no inputs."""
    target = torch.zeros_like(deltas[0])
    inputs = target.new_zeros(target.shape[1], target.shape[1])
    for index in range(len(deltas)):
        delta = deltas[index]
        size = delta.square().sum()
        if size > 0:
            own = (delta.T @ delta).div_(size)
            inputs.add_(own)
            target.addmm_(delta, own)
    return inputs, target


def _solve(inputs: Tensor, rest: Tensor) -> Tensor:
    """Return the smallest ``X [m, k]`` with ``X inputs = rest``, where it has one."""
    values, vectors = torch.linalg.eigh(inputs)
    inverse = torch.where(values > FLAT * values[-1], 1.0 / values, 0.0)
    return (rest @ vectors).mul_(inverse) @ vectors.T


def descend(point: Tensor, gradient: Any, steps: int, rate: float) -> Tensor:
    """Take steps of Adam (Kingma and Ba, 2015; 0.9, 0.999, 1e-8) from ``point``, which is overwritten and returned."""
    first, second = torch.zeros_like(point), torch.zeros_like(point)
    for step in range(1, steps + 1):
        slope = gradient(point)
        first.lerp_(slope, 0.1)
        second.mul_(0.999).addcmul_(slope, slope, value=0.001)
        size = (second / (1.0 - 0.999**step)).sqrt_().add_(1e-8)
        point.addcdiv_(first, size, value=-rate / (1.0 - 0.9**step))
    return point
