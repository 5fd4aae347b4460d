"""Bring low-rank task vectors into one space, and merge them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.matrix_method import Deltas, MatrixMethod, Others, check_others
from accord.merging.merging_method import per_model
from accord.merging.quantiles import Quantiles
from accord.merging.selection import top
from accord.merging.spectra import svd, svd_work
from accord.merging.survey import Survey
from accord.merging.ties import check_density
from accord.method import Method


class KnOTS(MatrixMethod):
    """Write the task vectors of a matrix side by side, decompose them together, and merge the tasks' parts by TIES.

    ``[tau_1 ... tau_n] = U diag(S) [V_1 ... V_n]``: all tasks share ``U diag(S)``, and their ``V_i`` are merged entry
    by entry. LoRA adapters of one base, whose task vectors hardly share a direction, are better aligned there.

    Cost: three singular value decompositions of ``[m, n k]`` per matrix, by its shorter side, or one where matrices are
    ranked by themselves; all task vectors of a matrix are held.

    Args:
        density: share of each ``V_i`` that TIES keeps, the largest magnitudes; the paper looks for it.
        aligned: what is merged: ``"V"``, as the paper writes it; or ``"SV"``, the parts times the singular values,
            which the authors' code can do, too.
        trim: rank the entries of all matrices of the ``"model"`` together, as the authors do, or those of each
            ``"tensor"`` by themselves, at a third of the cost.
        scale: factor of the merged task vector.
        weights: factor of each task before signs are elected. 1 when left out.
        exclude: patterns of matrices that are treated as other tensors.
        others: what becomes of other tensors: ``"mean"`` or ``"base"``.

    Entries that are equal in float32 count as equally large. Merging the parts by a sum instead would be task
    arithmetic, whatever the space. One model at density 1 comes back up to rounding.

    Source: Stoica et al., Model merging with SVD to tie the Knots, 2025.
    """

    method: ClassVar[Method] = Method(
        title="KnOTS",
        paper="Model merging with SVD to tie the Knots",
        year=2025,
        url="https://arxiv.org/abs/2410.19735",
        needs="parameters",
        cost="3 singular value decompositions per matrix",
    )

    def __init__(
        self,
        density: float = 0.3,
        aligned: Literal["V", "SV"] = "V",
        trim: Literal["model", "tensor"] = "model",
        scale: float = 1.0,
        weights: Sequence[float] | float | None = None,
        exclude: Sequence[str] = (),
        others: Others = "mean",
    ) -> None:
        check_density(density)
        check_others(others)
        if aligned not in ("V", "SV"):
            raise ConfigurationError(f"aligned is 'V' or 'SV'; got {aligned!r}")
        if trim not in ("model", "tensor"):
            raise ConfigurationError(f"trim is 'model' or 'tensor'; got {trim!r}")
        self.density = density
        self.trim: Literal["model", "tensor"] = trim
        self.scope = trim
        self.aligned: Literal["V", "SV"] = aligned
        self.scale = scale
        self.weights = weights
        self.exclude = exclude
        self.others: Others = others

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        if self.trim == "tensor" or self.density == 1.0:
            return None
        return Quantiles(lambda count: [count - top(self.density, count)], self._sizes, models)

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        weights = per_model(self.weights, len(deltas), 1.0, "weights")
        left, parts = self._decompose(deltas)
        least = [_least(part, self.density) for part in parts] if found is None else [bound for (bound,) in found]
        return left @ _ties(parts, least, weights)

    def _decompose(self, deltas: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Return what the tasks share ``[m, q]``, and what each has for itself, ``[q, k]``."""
        left, values, right = svd(torch.cat(list(deltas), 1))
        if self.aligned == "SV":
            return left, (values[:, None] * right).chunk(len(deltas), 1)
        return left * values, right.chunk(len(deltas), 1)

    def _sizes(self, block: Block) -> Sequence[Tensor]:
        if not self.is_matrix(block.name, block.shape):
            return ()
        return [part.abs() for part in self._decompose(Deltas(block))[1]]

    def work(self, rows: int, columns: int, models: int) -> int:
        wide = models * columns
        return 5 * rows * wide + svd_work(rows, wide)


def _least(part: Tensor, density: float) -> float:
    """Return the smallest magnitude of those that are kept of a part by itself."""
    count = top(density, part.numel())
    return float(part.abs().float().reshape(-1).kthvalue(part.numel() - count + 1).values) if count else 0.0


def _ties(parts: Sequence[Tensor], least: Sequence[float], weights: Sequence[float]) -> Tensor:
    """Trim, elect and average matrices that are in memory."""
    kept = torch.stack(list(parts))
    for part, bound, weight in zip(kept, least, weights, strict=True):
        part.masked_fill_(part.abs().float() < bound, 0.0).mul_(weight)
    agrees = kept * kept.sum(0).sign() > 0
    share = (agrees * torch.tensor(weights, dtype=kept.dtype).abs().view(-1, 1, 1)).sum(0)
    return kept.mul_(agrees).sum(0).div_(share.clamp_(min=torch.finfo(share.dtype).tiny))
