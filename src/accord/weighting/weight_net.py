"""A small network that turns losses into weights, learned from what the weights do to other losses."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.linalg.draws import Draws
from accord.method import Method
from accord.weighting.adam import adam
from accord.weighting.look_ahead import Closure, LooksAhead, differences, exact, trainable
from accord.weighting.share import observed, share


class WeightNet(DirectWeighting, LooksAhead):
    """Weights ``softmax_i(net(L_i))`` with one network, 1 - hidden - 1 with ReLU, for all losses.

    Before a step, :meth:`update` takes a virtual one with these weights and moves the network by Adam along the
    derivative of the mean loss behind it. What is learned is a rule from loss to weight, so the number of losses may
    change from step to step: samples or tokens, one objective each, are the case of the paper. Losses that tell what a
    weight should depend on, but are not those that are trained, go to :meth:`inform` first.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive, summing to 1, ``1/T`` at first. Cost: one backward, and per
    update 2 backwards and 4 forwards (``exact=True``: 2 T backwards).

    Args:
        hidden: width of the network.
        lr: its learning rate.
        exact: compute the derivative through the step exactly instead of by central differences.
        seed: of the first layer's initial weights; the second starts at 0, which is plain averaging.

    Source: Meng et al., Tuning Language Models as Training Data Generators for Augmentation-Enhanced Few-Shot Learning,
    2023 (FewGen: rate 1e-2; its virtual step has rate 2e-2; tokens are weighed by how well they tell the labels apart),
    after Shu et al., Meta-Weight-Net, 2019. Theirs differentiates through the step by second-order autograd; the step
    is linear in the weights, so this needs none. Without :meth:`update` this is plain averaging.
    """

    method: ClassVar[Method] = Method(
        title="FewGen's weight net",
        paper="Tuning Language Models as Training Data Generators for Augmentation-Enhanced Few-Shot Learning",
        year=2023,
        url="https://arxiv.org/abs/2211.03044",
        needs="losses",
        cost="3 backwards + 4 forwards",
        catalogue=(442,),
    )
    network: Tensor
    moments: Tensor
    updates: Tensor
    clues: Tensor

    def __init__(self, hidden: int = 100, lr: float = 1e-2, exact: bool = False, seed: int = 0) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigurationError(f"hidden must be at least 1; got {hidden}")
        if not 0.0 < lr < math.inf:
            raise ConfigurationError(f"lr must be a finite number above 0; got {lr}")
        self.hidden = hidden
        self.lr = lr
        self.exact = exact
        first = torch.from_numpy(Draws(seed).generator().uniform(-1.0, 1.0, 2 * hidden))
        # Slopes and offsets of the hidden units, their weights in the output; its offset would not change a softmax.
        self.register_buffer("network", torch.cat([first, first.new_zeros(hidden)]))
        self.register_buffer("moments", torch.zeros(2, 3 * hidden, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(3 * hidden, dtype=torch.float64))
        self.register_buffer("clues", torch.zeros(0, dtype=torch.float64))

    def inform(self, clues: Tensor | None) -> None:
        """Let the next weights depend on ``clues`` ``[T]`` in place of the losses; ``None`` ends that."""
        self.clues = self.network.new_zeros(0) if clues is None else clues.detach().to(self.network)

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        values, mask = observed(losses, active, self.network)
        return share(self._weigh(values, mask, self.network), losses, active)

    def update(self, parameters: Iterable[Tensor], *, train: Closure, validation: Closure, step: float) -> None:
        leaves = trainable(parameters)
        if self.exact:
            now, slopes = exact(leaves, train, validation, self._now, step)
            slope = _even(slopes[:, 0]) @ slopes
        else:
            now, slope = differences(leaves, train, validation, self._now, step, _even)
        known = now.isfinite() & slope.isfinite()
        if not bool(known.any()):
            return
        network = self.network.clone().requires_grad_()
        mask = known.to(network.device)
        with torch.enable_grad():
            weights = self._weigh(torch.where(known, now, 0.0).to(network), mask, network)
        pull = torch.where(mask, slope.to(network), 0.0)
        (gradient,) = torch.autograd.grad(weights, network, pull)
        every = torch.ones_like(gradient, dtype=torch.bool)
        self.network = self.network - self.lr * adam(gradient, every, self.moments, self.updates)

    def _now(self, losses: Tensor) -> Tensor:
        return self(losses, active=losses.isfinite())

    def _weigh(self, losses: Tensor, mask: Tensor, network: Tensor) -> Tensor:
        clues = self.clues if self.clues.numel() else losses
        if clues.shape != losses.shape:
            raise ConfigurationError(f"WeightNet was informed of {len(clues)} clues but weighs {len(losses)} losses")
        slopes, offsets, outputs = network.split(self.hidden)
        scores = torch.relu(clues[:, None] * slopes + offsets) @ outputs
        return torch.softmax(torch.where(mask, scores, -math.inf), dim=0).nan_to_num(0.0)

    def extra_repr(self) -> str:
        return f"hidden={self.hidden}, lr={self.lr}, exact={self.exact}"


def _even(losses: Tensor) -> Tensor:
    return torch.full_like(losses, 1.0 / len(losses))
