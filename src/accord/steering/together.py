"""A set of networks that are trained together, so that they spread along the front by themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import cast

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from accord.pareto import MOOSVGD, HypervolumeGradient
from accord.sharing import MultiTaskModel
from accord.steering.learner import Batch, Learner
from accord.steering.rows import Rows
from accord.training.optimizer import AdamW, build_optimizer
from accord.training.problem import all_outputs
from accord.training.spec import TrainingSpec
from accord.weighting import Fixed

# How far apart the networks of a set start, as a share of the size of each of their weights' tensors.
SHAKEN = 0.1


class Together(Learner[nn.ModuleList]):
    """Networks that all see every batch; each one's step depends on where the others are.

    Objectives are losses in units of what predicting the training average costs, so that no task counts more for the
    scale of its loss. The networks start as one, a little apart: MOO-SVGD adds up directions across them, which
    supposes that their weights mean the same.

    Args:
        network: what all of them start from.
        count: K.
        rule: how they move; of :class:`HypervolumeGradient`, the reference is 1 for every task.
        scale: ``[T]``, the loss of predicting the average; where that is 0, losses are taken as they are.
        seed: of the start.
    """

    def __init__(
        self, network: MultiTaskModel, count: int, rule: HypervolumeGradient | MOOSVGD, scale: Tensor, seed: int
    ) -> None:
        self.model = shaken(network, count, seed)
        self.rule = rule
        self.scale = torch.where(scale > 0, scale, 1.0)

    def networks(self) -> list[MultiTaskModel]:
        """Return the networks."""
        return [cast(MultiTaskModel, network) for network in self.model]

    def parts(self) -> list[nn.Module]:
        return list(self.model)

    def optimizer(self, training: TrainingSpec) -> AdamW:
        return build_optimizer(self.model, Fixed(), training)

    def descend(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002 - nothing is drawn
        found = [batch.losses(network) for network in self.model]
        losses, present = torch.stack([own for own, _ in found]), found[0][1]
        points = (losses / self.scale.to(losses))[:, present]
        # One loss that is not finite leaves nobody a place relative to the others.
        if present.any() and bool(points.isfinite().all()):
            if isinstance(self.rule, HypervolumeGradient):
                weights = HypervolumeGradient(torch.ones(points.shape[1]))(points.detach())
                (weights * points).sum().backward()
            else:
                self._move(self.rule(self._jacobians(points), points.detach()))
        return losses.detach().mean(dim=0), present

    def _jacobians(self, points: Tensor) -> Tensor:
        """Return the gradients ``[K, n, P]`` of ``points`` ``[K, n]``."""
        found = []
        for network, own in zip(self.model, points, strict=True):
            weights = list(network.parameters())
            rows = [torch.autograd.grad(one, weights, retain_graph=True, materialize_grads=True) for one in own]
            found.append(torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]))
        return torch.stack(found)

    def _move(self, directions: Tensor) -> None:
        for network, direction in zip(self.model, directions, strict=True):
            weights = list(network.parameters())
            parts = direction.split([weight.numel() for weight in weights])
            for weight, part in zip(weights, parts, strict=True):
                weight.grad = part.view_as(weight).clone()

    def outputs(self, rows: Rows) -> Iterator[list[Tensor]]:
        everything = torch.arange(len(rows))
        for network in self.networks():
            yield all_outputs(network, rows.features, everything, next(network.parameters()).device)


@torch.no_grad()
def shaken(network: MultiTaskModel, count: int, seed: int) -> nn.ModuleList:
    """Return ``count`` copies of ``network``, each moved a little in a direction of its own."""
    generator = torch.Generator().manual_seed(seed)
    copies = [copy.deepcopy(network) for _ in range(count)]
    for own in copies:
        for weight in own.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight += SHAKEN * weight.square().mean().sqrt() * noise.to(weight.device)
    return nn.ModuleList(copies)


def best_places(losses: Tensor, preferences: Tensor) -> list[int]:
    """Return which solution each preference gets, after a training that knew of none.

    A solution speaks for a preference in proportion to how far each of its losses is below the set's worst, in shares
    of the set's range; preferences and solutions are matched so that what they say differs least in sum of squares.

    Args:
        losses: ``[K, T]``; one that is not finite counts as the worst.
        preferences: ``[K, T]``, sums of 1.
    """
    known = losses.isfinite()
    low = torch.where(known, losses, torch.inf).min(dim=0).values
    high = torch.where(known, losses, -torch.inf).max(dim=0).values
    tiny = torch.finfo(torch.float64).tiny
    merit = torch.where(known, (high - losses) / (high - low).clamp(min=tiny), 0.0)
    total = merit.sum(dim=1, keepdim=True)
    said = torch.where(total > 0, merit / total.clamp(min=tiny), 1.0 / losses.shape[1])
    _, chosen = linear_sum_assignment(torch.cdist(preferences, said).square().numpy())
    return chosen.tolist()
