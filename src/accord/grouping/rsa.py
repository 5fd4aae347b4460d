"""Tasks whose encoders find the same rows alike."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.grouping.affinity import Evidence
from accord.grouping.latest import Latest
from accord.method import Method


class RSA(Latest):
    """Rank correlation between what two single-task encoders find unlike (representation similarity analysis).

    For each task the ``N (N - 1) / 2`` dissimilarities ``1 - corr(x_m, x_n)`` of all pairs of rows; ``A_ij`` is
    Spearman's correlation of those of tasks i and j, in [-1, 1], the same in both directions. There is no neutral
    point: encoders of unrelated tasks still read the same inputs. A task whose encoder says the same of all rows has
    NaN.

    Shapes: T representations ``[N, D_t]``, the same N rows (512 are plenty). Cost: T models of one task each,
    O(T N^2 D).

    Source: Dwivedi and Roig, Representation Similarity Analysis for Efficient Task Taxonomy & Transfer Learning, 2019.
    """

    method: ClassVar[Method] = Method(
        title="RSA",
        paper="Representation Similarity Analysis for Efficient Task Taxonomy & Transfer Learning",
        year=2019,
        url="https://arxiv.org/abs/1904.11740",
        needs="data",
        cost="T single-task models + O(T N^2 D)",
    )
    hears = ("representations",)
    neutral = None

    def compare(self, evidence: Evidence) -> Tensor:
        assert evidence.representations is not None
        ranks = torch.stack([_ranks(one) for one in evidence.representations])
        centred = ranks - ranks.mean(1, keepdim=True)
        lengths = centred.norm(dim=1)
        return (centred @ centred.T / lengths[:, None] / lengths[None, :]).clamp(-1, 1)


def _ranks(rows: Tensor) -> Tensor:
    """Return the ranks of the dissimilarities of all pairs of rows; all equal where they cannot be told apart."""
    from scipy.stats import rankdata  # takes half a second to import, which no other command should wait for

    centred = rows - rows.mean(1, keepdim=True)
    lengths = centred.norm(dim=1).clamp_min(torch.finfo(torch.float64).tiny)
    alike = (centred / lengths[:, None]) @ (centred / lengths[:, None]).T
    upper = torch.triu_indices(len(rows), len(rows), 1)
    # Rounding must not make an order where there is none.
    return torch.from_numpy(rankdata((1 - alike[upper[0], upper[1]]).numpy().round(10))).to(torch.float64)
