"""Data-emphasised evidence: the strength of each regulariser follows from the training data alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from accord.balancer import LearnedWeighting, keep
from accord.errors import ConfigurationError
from accord.linalg.draws import Draws
from accord.method import Method
from accord.weighting.share import check_tasks


class EvidenceWeighting(LearnedWeighting):
    """Weigh squared distances from a prior against a likelihood: no validation data, no grid search.

    Losses are one mean negative log-likelihood ``L`` and, for each of K groups of parameters, ``d_k = |w_k - m_k|^2``
    from its prior mean (0, or the pretrained weights). The objective is the evidence bound of a Gaussian posterior
    ``N(w, s^2 I)`` and priors ``N(m_k, v_k I)``, with the likelihood emphasised. The best prior variance is known in
    every step, ``v_k = d_k / D_k + s^2``, and with it ``L + sum_k D_k / (2 E) log(1 + d_k / (D_k s^2))``: the k-th
    regulariser weighs ``1 / (2 E v_k)``, and the likelihood 1, which is no common scale with other weightings.

    ``raw`` is a parameter, ``s = softplus(raw)``: hand ``balancer.parameters()`` to the optimiser, without decay.
    What holds ``s`` back is the likelihood: compute ``L`` with the parameters that :meth:`sample` returns, by
    :func:`torch.func.functional_call`. With unchanged ones ``s`` grows and the regularisers fade.

    Shapes: losses ``[1 + K]``, the likelihood first -> weights ``[1 + K]``, positive. Cost: one backward.

    Args:
        sizes: ``D_k``, how many numbers each group has. There is no default, for the losses are no ordinary ones.
        emphasis: ``E``, how many observations the likelihood counts for; the number of rows is the ordinary bound,
            ``None`` the total of ``sizes``.
        deviation: initial ``s``, above 0.
        seed: of the samples. Their place in the stream is part of ``state_dict``.

    Source: Harvey, Petrov and Hughes, Learning Hyperparameters via a Data-Emphasized Variational Objective, 2025
    (emphasis kappa = D / N, so that ``E = kappa N = D``, and closed-form variances). The authors' code leaves the
    variances in the KL divergence, to which this is equal.
    """

    method: ClassVar[Method] = Method(
        title="Data-emphasised evidence",
        paper="Learning Hyperparameters via a Data-Emphasized Variational Objective",
        year=2025,
        url="https://arxiv.org/abs/2502.01861",
        needs="losses",
        cost="1 backward",
        catalogue=(563,),
    )
    sizes: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        emphasis: float | None = None,
        deviation: float = 1e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if any(size < 1 for size in sizes):
            raise ConfigurationError(f"sizes are the numbers of parameters per group, 1 or more; got {list(sizes)}")
        for name, value in (("emphasis", emphasis), ("deviation", deviation)):
            if value is not None and not 0.0 < value < math.inf:
                raise ConfigurationError(f"{name} must be a finite number above 0; got {value}")
        self.emphasis = float(sum(sizes)) if emphasis is None else float(emphasis)
        self.register_buffer("sizes", torch.tensor([float(size) for size in sizes], dtype=torch.float64))
        self.raw = nn.Parameter(torch.tensor(math.log(math.expm1(deviation)), dtype=torch.float64))
        self.draws = Draws(seed)

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        check_tasks(1 + len(self.sizes), losses, "EvidenceWeighting, with one likelihood and its groups,")
        values = keep(losses, active).double()  # a distance of 0 weighs nothing
        if bool((values[1:] < 0).any()):
            raise ConfigurationError(f"squared distances are not negative; got {losses[1:].tolist()}")
        terms = self.sizes * torch.log1p(values[1:] / (self.sizes * softplus(self.raw) ** 2)) / (2 * self.emphasis)
        return (values[0] + terms.sum()).to(losses.dtype)

    def variances(self, distances: Tensor) -> Tensor:
        """Return the best prior variances ``v`` ``[K]`` for squared distances ``[K]``."""
        return (distances.detach().to(self.sizes) / self.sizes) + softplus(self.raw.detach()) ** 2

    def sample(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters with noise of deviation ``s``, differentiable in both."""
        generator, deviation = self.draws.generator(), softplus(self.raw)
        return {
            name: value + (deviation * torch.from_numpy(generator.standard_normal(value.shape)).to(deviation)).to(value)
            for name, value in parameters.items()
        }

    def extra_repr(self) -> str:
        return f"sizes={[int(size) for size in self.sizes]}, emphasis={self.emphasis}"
