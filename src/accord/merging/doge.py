"""Change all task vectors alike so that they get in each other's way less, off what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.matrix_method import MatrixMethod, Others, check_others
from accord.merging.selection import Thresholds, top
from accord.merging.spectra import svd, svd_work
from accord.merging.survey import Survey
from accord.merging.ties import check_density
from accord.merging.wudi import descend
from accord.method import Method


class DOGE(MatrixMethod):
    """Find one change for all task vectors of a matrix, add it, and weigh them by their lengths (DOGE-TA).

    With ``lambda_i = strength / |tau_i|`` and one change ``delta`` for all tasks, Adam minimises ``sum_i sum_rows
    (sum_columns tau_i (tau_i - sum_j lambda_j (tau_j + delta)))^2`` along what is orthogonal to the shared subspace:
    the first ``r / subspace`` left singular vectors of the tasks' own leading ``r / n``, side by side. The merged task
    vector is ``sum_i lambda_i mask_i (tau_i + delta)``, in which ``mask_i`` keeps the ``density`` largest entries of
    ``tau_i`` over the model.

    Cost: ``n + 1`` singular value decompositions per matrix, which is held whole with all its task vectors, and ``2 n``
    products per step; two passes and a sample before.

    Args:
        strength: of the coefficients; 0.07 in FusionBench's settings for CLIP.
        density: share of each task vector that is kept.
        subspace: the shared subspace has a rank of ``r`` over this.
        steps: of Adam; 0 leaves the task vectors as they are.
        rate: step size of Adam.
        scale: factor of the merged task vector.
        exclude: patterns of matrices that are treated as other tensors. The authors merge the encoder's weights only.
        others: what becomes of other tensors: ``"base"`` as with the authors, or ``"mean"``.

    Definitions follow FusionBench, of whose code an author of the paper is an author. Entries are ranked over all
    tensors of the model, there over those that are merged.

    Source: Wei et al., Modeling Multi-Task Model Merging as Adaptive Projective Gradient Descent, 2025.
    """

    method: ClassVar[Method] = Method(
        title="DOGE-TA",
        paper="Modeling Multi-Task Model Merging as Adaptive Projective Gradient Descent",
        year=2025,
        url="https://arxiv.org/abs/2501.01230",
        needs="parameters",
        cost="n + 1 singular value decompositions and 800 n products per matrix",
        catalogue=(167,),
    )

    def __init__(
        self,
        strength: float = 0.07,
        density: float = 0.3,
        subspace: int = 6,
        steps: int = 400,
        rate: float = 1e-4,
        scale: float = 1.0,
        exclude: Sequence[str] = (),
        others: Others = "base",
    ) -> None:
        check_density(density)
        check_others(others)
        if subspace < 1 or steps < 0 or not rate > 0:
            raise ConfigurationError(
                f"subspace is 1 or more, steps 0 or more and rate above 0; got subspace={subspace}, steps={steps} and "
                f"rate={rate}"
            )
        self.strength = strength
        self.density = density
        self.subspace = subspace
        self.steps = steps
        self.rate = rate
        self.scale = scale
        self.exclude = exclude
        self.others: Others = others
        self.scope = "model"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return Thresholds(models, elements, [top(self.density, elements)])

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        held = torch.stack(list(deltas))
        sizes = held.flatten(1).norm(dim=1)
        shares = torch.where(sizes > 0, self.strength / sizes, 0.0)
        change = self._change(held, shares) if self.steps else torch.zeros_like(held[0])
        merged = torch.zeros_like(change)
        for delta, share, bounds in zip(held, shares, found, strict=True):
            merged.add_((delta + change).masked_fill_(delta.abs() < bounds[0], 0.0).mul_(share))
        return merged

    def _change(self, held: Tensor, shares: Tensor) -> Tensor:
        total = shares.sum()
        joint = torch.einsum("i,imk->mk", shares, held)
        # What is left of each task's rows when nothing is changed; a change takes away total * (tau_i . change).
        rest = (held * (held - joint)).sum(2)
        shared = self._shared(held)

        def gradient(change: Tensor) -> Tensor:
            left = rest - total * torch.einsum("imk,mk->im", held, change)
            slope = torch.einsum("im,imk->mk", left, held).mul_(-2.0 * total)
            return slope.sub_(shared @ (shared.T @ slope))

        return descend(torch.zeros_like(joint), gradient, self.steps, self.rate)

    def _shared(self, held: Tensor) -> Tensor:
        rank = min(held.shape[1:])
        leading = torch.cat([svd(delta, rank // len(held))[0] for delta in held], 1)
        return svd(leading, rank // self.subspace)[0] if leading.shape[1] else leading

    def work(self, rows: int, columns: int, models: int) -> int:
        # The survey's own task vectors and magnitudes come first.
        return (3 * models + 8) * rows * columns + svd_work(rows, columns)
