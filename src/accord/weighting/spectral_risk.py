"""Spectral risk: weights by rank, worst losses first, and softened by a cost of leaving the average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.linalg.spectral import Penalty, Risk, Spectrum
from accord.method import Method
from accord.weighting.share import observed, share


class SpectralRisk(DirectWeighting):
    """Minimise ``max_q q @ L - shift D(q | 1/T)``, with ``q`` in the hull of all orders of a rising spectrum.

    Without ``shift`` the largest loss takes the largest entry of the spectrum and so on, equal losses sharing: the mean
    of the worst, smoothly or sharply cut. With it the weights leave the average only as far as the losses' spread, in
    their own unit, pays for, and move continuously with them. They are the slope of this risk in the losses.

    Shapes: losses ``[T]`` -> weights ``[T]``, not negative, summing to 1. Cost: one backward and a sort; with one
    objective per sample T may be a batch. No state.

    Args:
        spectrum: ``"cvar"``, the mean of the worst fraction ``level`` (default 1/2); ``"top_k"``, of the worst
            ``level`` losses (1, the maximum); ``"extremile"``, the expected worst of ``level`` draws (2); ``"esrm"``,
            weights growing as ``exp(level rank / T)`` (1); or numbers of your own, ascending from the weight of the
            best loss to that of the worst, which are brought to sum 1 and to the number of active tasks.
        level: as above; ``None`` for the default.
        shift: price of uneven weights, 0 or more, in the unit of the losses.
        penalty: ``"chi2"``, ``D = T |q - 1/T|^2``, or ``"kl"``, ``D = sum_i q_i log(T q_i)``.

    Source: Mehta et al., Distributionally Robust Optimization with Bias and Variance Reduction, 2024 (spectra and their
    levels; no shift is the default of the authors' code). The divergences are the paper's; a shift of 1 in their code
    is one of 1/2 here under ``"chi2"``, and of T under ``"kl"``. Their code gives the first of two equal losses more
    weight than the second where there is no shift. Their optimiser for steps that see only some of the losses is the
    aggregator :class:`~accord.aggregation.Prospect`.
    """

    method: ClassVar[Method] = Method(
        title="Spectral risk",
        paper="Distributionally Robust Optimization with Bias and Variance Reduction",
        year=2024,
        url="https://arxiv.org/abs/2310.13863",
        needs="losses",
        cost="1 backward",
        catalogue=(457,),
    )

    def __init__(
        self,
        spectrum: Spectrum | Sequence[float] = "cvar",
        level: float | None = None,
        shift: float = 0.0,
        penalty: Penalty = "chi2",
    ) -> None:
        super().__init__()
        self.risk = Risk.read(spectrum, level, shift, penalty, "SpectralRisk")

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        values, mask = observed(losses, active, torch.zeros(0, dtype=torch.float64))
        weights = torch.zeros_like(values)
        if bool(mask.any()):
            weights[mask] = torch.from_numpy(self.risk.weights(values[mask].numpy()))
        return share(weights, losses, active)

    def extra_repr(self) -> str:
        return repr(self.risk)
