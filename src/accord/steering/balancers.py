"""What trains the model of one point, where a front is a set of models."""

from __future__ import annotations

import inspect
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import Balancer, DirectWeighting
from accord.method import Method
from accord.pareto import LinearScalarisation, Scalarisation
from accord.steering.grid import inside
from accord.steering.methods import method_class
from accord.steering.spec import FrontSpec
from accord.weighting import Fixed


class Scalarised(DirectWeighting):
    """Weights of the losses that descend a scalarisation of them: its slopes, their sizes brought to sum 1.

    Args:
        scalarisation: of the objectives.
        preference: ``[T]``.
    """

    # What engines ask of any balancer: that of the plainest scalarisation holds for all of them.
    method: ClassVar[Method] = LinearScalarisation.method
    preference: Tensor

    def __init__(self, scalarisation: Scalarisation, preference: Tensor) -> None:
        super().__init__()
        self.scalarisation = scalarisation
        self.register_buffer("preference", preference.detach().clone())

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:  # noqa: ARG002 - goes by the losses
        kept = torch.ones_like(losses, dtype=torch.bool) if active is None else active.to(losses.device)
        slopes = torch.zeros_like(losses, dtype=torch.float64)
        if kept.any():
            preference = self.preference.to(losses.device)[kept]
            probe = losses.detach().double()[kept].requires_grad_()
            with torch.enable_grad():
                value = self.scalarisation(probe, preference / preference.sum())
            (slope,) = torch.autograd.grad(value, probe)
            slopes[kept] = slope / slope.abs().sum().clamp(min=torch.finfo(slope.dtype).tiny)
        return slopes.to(losses)


def point_balancer(front: FrontSpec, preferences: Tensor, index: int, steps_per_epoch: int) -> Balancer:
    """Return the balancer that trains the model for row ``index`` of ``preferences`` ``[n, T]``."""
    cls = method_class(front.method)
    takes = inspect.signature(cls).parameters
    if issubclass(cls, Scalarisation):
        plain = front.method == "linear_scalarisation"
        return Fixed(preferences[index]) if plain else Scalarised(cls(**front.options), inside(preferences)[index])
    if "preferences" not in takes:
        return cls(preference=inside(preferences)[index], **front.options)
    options = dict(front.options)
    # The paper's first phase has two epochs at most.
    options["search"] = min(options["search"], 2 * steps_per_epoch)
    return cls(preferences=inside(preferences), index=index, **options)
