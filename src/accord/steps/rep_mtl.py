"""A regulariser on what each task asks of the shared representation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method


class RepMTL:
    """Keep tasks apart in where they look at the shared representation, and alike in how a sample's channels interact.

    A task's saliency is the gradient of its loss over the representation, ``S_t = dL_t/dZ`` ``[B, C, N]`` for ``N``
    places. Two penalties are made of it. *Entropy* (task-specific saliency regulation): the sizes ``|mean_c S_t|`` of
    a place, divided by their sum over tasks, are a distribution whose entropy is averaged over places; a low one
    leaves each place to few tasks. *Alignment* (cross-task): the affinities ``S_t S_t'`` of a sample's channels are
    drawn to the sample's anchor, ``A A'`` for its saliencies averaged over places, ``A [C, T]``, and the anchors of
    different samples kept apart:
    ``log sum_{k != b} exp(cos(anchor_b, anchor_k) / tau) - cos(anchor_b, affinity_tb) / tau``, averaged over tasks
    and samples. The penalties are to be added to the sum of the losses::

        shared = trunk(x)
        losses = [loss_of(head(shared), y) for head, y in zip(heads, labels)]
        (sum(losses) + regulariser(losses, shared)).backward()

    Under a balancer, which works on the mean, add it to each of the T losses, divided by T.

    Cost: T backwards to the representation, differentiated once more. Memory O(T B (C N + min(C, N)^2)), for no
    affinity is formed where its products are cheaper. A factor common to all losses plays no part.

    Args:
        entropy: weight of the first penalty, 0 or more.
        alignment: weight of the second one, 0 or more. One sample has nothing to be kept apart from, and skips it.
        temperature: ``tau``, above 0.
        channels: axis of the channels in the representation; the batch is axis 0, all others are places.

    Source: Wang, Li and Xu, Rep-MTL: Unleashing the Power of Representation-level Task Saliency for Multi-Task
    Learning, 2025 (both weights 0.9, the value its sensitivity study varies around; no temperature is given, and 0.1
    is ours). The paper leaves open how an anchor combines tasks; with ``A`` as above opposed saliencies do not cancel.
    A place where no task has any saliency has no entropy.
    """

    method: ClassVar[Method] = Method(
        title="Rep-MTL",
        paper="Rep-MTL: Unleashing the Power of Representation-level Task Saliency for Multi-Task Learning",
        year=2025,
        url="https://arxiv.org/abs/2507.21049",
        needs="data",
        cost="T backwards to the representation, twice differentiated",
        catalogue=(92,),
    )

    def __init__(
        self, entropy: float = 0.9, alignment: float = 0.9, temperature: float = 0.1, channels: int = 1
    ) -> None:
        for name, value in (("entropy", entropy), ("alignment", alignment)):
            if not 0.0 <= value < math.inf:
                raise ConfigurationError(f"{name} must be a finite number of at least 0; got {value}")
        if not 0.0 < temperature < math.inf:
            raise ConfigurationError(f"temperature must be a finite number above 0, 0.1 for one; got {temperature}")
        self.entropy = entropy
        self.alignment = alignment
        self.temperature = temperature
        self.channels = channels

    def __call__(
        self, losses: Tensor | Sequence[Tensor | None] | Mapping[str, Tensor | None], representation: Tensor
    ) -> Tensor:
        """Return the penalty, a scalar that is differentiable in trunk and heads.

        Args:
            losses: ``[T]``, or scalars; absent tasks are ``None``, and those that the representation does not reach
                play no part.
            representation: ``[B, ..., C, ...]``, a tensor of the losses' graph.
        """
        if representation.ndim < 2 or not representation.requires_grad:
            raise ConfigurationError(
                f"the representation, of shape {list(representation.shape)}, must have a batch axis and one of "
                "channels, and come out of the trunk with its graph"
            )
        found = [_saliency(loss, representation) for loss in _scalars(losses)]
        present = [saliency.movedim(self.channels, 1) for saliency in found if saliency is not None]
        if not present:
            return representation.new_zeros(())
        saliencies = torch.stack([saliency.reshape(*saliency.shape[:2], -1) for saliency in present])
        return self.entropy * entropy_of(saliencies) + self.alignment * misalignment(saliencies, self.temperature)

    def __repr__(self) -> str:
        return f"RepMTL(entropy={self.entropy}, alignment={self.alignment}, temperature={self.temperature})"


def _scalars(losses: Tensor | Sequence[Tensor | None] | Mapping[str, Tensor | None]) -> list[Tensor]:
    items = losses.values() if isinstance(losses, Mapping) else losses
    return [loss for loss in items if loss is not None and loss.requires_grad]


def _saliency(loss: Tensor, representation: Tensor) -> Tensor | None:
    return torch.autograd.grad(loss, representation, create_graph=True, allow_unused=True)[0]


def entropy_of(saliencies: Tensor) -> Tensor:
    """Return the mean entropy over tasks of the places' saliencies, ``[T, B, C, N]`` -> scalar."""
    sizes = saliencies.mean(dim=2).abs()
    total = sizes.sum(dim=0)
    shares = sizes / torch.where(total > 0, total, 1.0)
    # Where a share is 0 the slope of p log p is infinite; 1 log 1 stands in for it.
    inside = torch.where(shares > 0, shares, 1.0)
    return -(inside * inside.log()).sum(dim=0).mean()


def misalignment(saliencies: Tensor, temperature: float) -> Tensor:
    """Return how little the tasks' channel affinities point to their sample's anchor, ``[T, B, C, N]`` -> scalar."""
    samples = saliencies.shape[1]
    if samples < 2:
        return saliencies.new_zeros(())
    # Cosines know no scale, and so saliencies of any size may be multiplied.
    alone = saliencies / _peaks(saliencies, (2, 3))
    anchors = (saliencies / _peaks(saliencies, (0, 2, 3))).mean(dim=3)  # [T, B, C]
    affinities = alone.mT @ alone if alone.shape[2] > alone.shape[3] else alone @ alone.mT
    lengths = _norm(affinities.square().sum(dim=(2, 3)))
    sizes = _norm(torch.einsum("tbc,ubc->btu", anchors, anchors).square().sum(dim=(1, 2)))
    own = torch.einsum("tbcn,ubc->tbnu", alone, anchors).square().sum(dim=(2, 3)) / (lengths * sizes)
    between = torch.einsum("tbc,ukc->bktu", anchors, anchors).square().sum(dim=(2, 3)) / (sizes[:, None] * sizes)
    itself = torch.eye(samples, dtype=torch.bool, device=saliencies.device)
    others = (between / temperature).masked_fill(itself, -math.inf).logsumexp(dim=1)
    return (others - own / temperature).mean()


def _peaks(saliencies: Tensor, dims: tuple[int, ...]) -> Tensor:
    peaks = saliencies.detach().abs().amax(dim=dims, keepdim=True)
    return torch.where(peaks > 0, peaks, torch.ones_like(peaks))


def _norm(squares: Tensor) -> Tensor:
    """Return the roots, 1 in place of 0: what it divides is 0 too, and stays so."""
    return torch.where(squares > 0, squares, 1.0).sqrt()
