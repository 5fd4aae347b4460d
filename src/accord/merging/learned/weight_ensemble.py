"""A block whose weights are mixed anew for every sample."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap


class WeightEnsemble(nn.Module):
    """``block(x; base + sum_i w_i(x) tau_i)``: one mixture of task vectors for every sample of a batch.

    The router is a network of one hidden layer as wide as the input; for inputs ``[N, ..., d]`` its answers are
    averaged over the dimensions between. Cost per sample: the block, and ``n P`` products to mix its weights, ``P`` of
    the block; memory: ``chunk * P``.

    Args:
        block: what to run; its first input is ``[N, ..., d]``.
        base: its parameters in the base, by name.
        deltas: the task vectors, ``[n, *shape]``.
        start: what all weights are about at first, by the bias of the router.
        generator: draws the router's weights, with standard deviation 0.01.
        chunk: samples whose weights are held at a time.
    """

    def __init__(
        self,
        block: nn.Module,
        base: Mapping[str, Tensor],
        deltas: Mapping[str, Tensor],
        width: int,
        start: float,
        generator: torch.Generator,
        chunk: int = 8,
    ) -> None:
        super().__init__()
        self.block = deepcopy(block).requires_grad_(False)
        self.names = list(base)
        self.chunk = chunk
        count = len(next(iter(deltas.values())))
        for place, name in enumerate(self.names):
            self.register_buffer(f"base_{place}", base[name].detach())
            self.register_buffer(f"deltas_{place}", deltas[name].detach())
        self.hidden = nn.Parameter(torch.empty(width, width).normal_(0.0, 0.01, generator=generator))
        self.hidden_bias = nn.Parameter(torch.zeros(width))
        self.out = nn.Parameter(torch.empty(count, width).normal_(0.0, 0.01, generator=generator))
        self.out_bias = nn.Parameter(torch.full((count,), start))

    def router(self) -> list[nn.Parameter]:
        """Return what is learned."""
        return [self.hidden, self.hidden_bias, self.out, self.out_bias]

    def gates(self, inputs: Tensor) -> Tensor:
        """Return the weights of the task vectors for every sample, ``[N, n]``."""
        found = torch.relu(inputs @ self.hidden.T + self.hidden_bias) @ self.out.T + self.out_bias
        return found.flatten(1, -2).mean(dim=1) if found.dim() > 2 else found

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output for every sample under its own weights."""

        def one(gate: Tensor, sample: Tensor) -> Tensor:
            weights = {
                name: getattr(self, f"base_{place}") + torch.tensordot(gate, getattr(self, f"deltas_{place}"), dims=1)
                for place, name in enumerate(self.names)
            }
            return functional_call(self.block, weights, (sample[None],))[0]

        return vmap(one, chunk_size=self.chunk)(self.gates(inputs), inputs)
