"""Gates: who listens to which expert."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gate_weights(inputs: Tensor, gates: Sequence[Tensor], dropout: float = 0.0, *, training: bool = False) -> Tensor:
    """Return the weights ``[B, G, E]`` that each of G gates gives E experts: positive, adding up to 1.

    All gates are one matrix product, laid out so that the softmax runs along rows of the batch (several times faster
    on a CPU than a softmax over a handful of neighbouring numbers).

    Args:
        inputs: ``[B, D]`` for all gates, or ``[G, B, D]``, one per gate.
        gates: G matrices ``[E, D]``.
        dropout: probability that an expert is left out for a row and the others renormalised, against gates that
            settle on one expert (Zhao et al., 2019, use 0.1). A row that would lose all experts keeps them all.
        training: whether dropout is on.
    """
    if inputs.ndim == 2:
        logits = torch.cat(list(gates)) @ inputs.T
        logits = logits.view(len(gates), len(gates[0]), inputs.shape[0])
    else:
        logits = torch.bmm(torch.stack(list(gates)), inputs.transpose(1, 2))
    if training and dropout > 0.0:
        keep = torch.rand_like(logits) >= dropout
        keep = keep | ~keep.any(1, keepdim=True)
        logits = logits.masked_fill(~keep, float("-inf"))
    # Batched products fall back to a loop over rows unless each row's matrix is laid out densely.
    return torch.softmax(logits, dim=1).permute(2, 0, 1).contiguous()
