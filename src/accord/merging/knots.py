"""Bring low-rank task vectors into one space, and merge them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.matrix_method import MatrixMethod, Others, check_others
from accord.merging.merging_method import per_model
from accord.merging.selection import top
from accord.merging.spectra import svd, svd_work
from accord.merging.ties import check_density
from accord.method import Method


class KnOTS(MatrixMethod):
    """Write the task vectors of a matrix side by side, decompose them together, and merge the tasks' parts by TIES.

    ``[tau_1 ... tau_n] = U diag(S) [V_1 ... V_n]``: all tasks share ``U diag(S)``, and their ``V_i`` are merged entry
    by entry. LoRA adapters of one base, whose task vectors hardly share a direction, are better aligned there.

    Cost: one singular value decomposition of ``[m, n k]`` per matrix, by its shorter side; all task vectors of a matrix
    are held.

    Args:
        density: share of each ``V_i`` that TIES keeps, the largest magnitudes; the paper looks for it.
        aligned: what is merged: ``"V"``, as the paper writes it; or ``"SV"``, the parts times the singular values,
            which the authors' code can do, too.
        scale: factor of the merged task vector.
        weights: factor of each task before signs are elected. 1 when left out.
        exclude: patterns of matrices that are treated as other tensors.
        others: what becomes of other tensors: ``"mean"`` or ``"base"``.

    Entries are ranked within the matrix; the authors rank those of all matrices together. Merging the parts by a sum
    instead would be task arithmetic, whatever the space. One model at density 1 comes back up to rounding.

    Source: Stoica et al., Model merging with SVD to tie the Knots, 2025.
    """

    method: ClassVar[Method] = Method(
        title="KnOTS",
        paper="Model merging with SVD to tie the Knots",
        year=2025,
        url="https://arxiv.org/abs/2410.19735",
        needs="parameters",
        cost="1 singular value decomposition per matrix",
    )

    def __init__(
        self,
        density: float = 0.3,
        aligned: Literal["V", "SV"] = "V",
        scale: float = 1.0,
        weights: Sequence[float] | float | None = None,
        exclude: Sequence[str] = (),
        others: Others = "mean",
    ) -> None:
        check_density(density)
        check_others(others)
        if aligned not in ("V", "SV"):
            raise ConfigurationError(f"aligned is 'V' or 'SV'; got {aligned!r}")
        self.density = density
        self.aligned: Literal["V", "SV"] = aligned
        self.scale = scale
        self.weights = weights
        self.exclude = exclude
        self.others: Others = others

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        weights = per_model(self.weights, len(deltas), 1.0, "weights")
        left, values, right = svd(torch.cat(list(deltas), 1))
        if self.aligned == "SV":
            parts = (values[:, None] * right).chunk(len(deltas), 1)
            return left @ _ties(parts, self.density, weights)
        return left * values @ _ties(right.chunk(len(deltas), 1), self.density, weights)

    def work(self, rows: int, columns: int, models: int) -> int:
        wide = models * columns
        return 5 * rows * wide + svd_work(rows, wide)


def _ties(parts: Sequence[Tensor], density: float, weights: Sequence[float]) -> Tensor:
    """Trim, elect and average matrices that are in memory."""
    kept = torch.stack(list(parts))
    count = top(density, kept[0].numel())
    for part, weight in zip(kept, weights, strict=True):
        sizes = part.abs()
        least = sizes.view(-1).kthvalue(sizes.numel() - count + 1).values if count else sizes.new_zeros(())
        part.masked_fill_(sizes < least, 0.0).mul_(weight)
    agrees = kept * kept.sum(0).sign() > 0
    share = (agrees * torch.tensor(weights, dtype=kept.dtype).abs().view(-1, 1, 1)).sum(0)
    return kept.mul_(agrees).sum(0).div_(share.clamp_(min=torch.finfo(share.dtype).tiny))
