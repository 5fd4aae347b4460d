"""Train only the strongest connections of every neuron."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from accord.engines._engine import columns
from accord.engines._shared import read_parameters
from accord.errors import ConfigurationError, suggest
from accord.method import Method

By = Literal["magnitude", "gradient"]


class SparseTraining(nn.Module):
    """Keep all shared weights but the strongest few of each neuron as they are, so that tasks have less to dispute.

    Once, before training, every neuron (row of a weight) selects the share of its input connections with the largest
    magnitude; only these are trained. Every neuron stays trainable that way, which a choice over the whole network
    would not ensure. It goes with any balancer and any optimiser, whose steps it wraps::

        SparseTraining(trunk.parameters(), share=0.3).attach(optimiser)

    Gradients of the other weights are set to 0 before each step of the optimiser, for its moments, and their values put
    back after it, whatever weight decay or momentum did to them. Parameters with one axis (biases, scales of norms) are
    trained as usual.

    Cost: a copy of the weights that stay, per step. State: a bit per weight, in ``state_dict``.

    Args:
        parameters: the shared ones; the heads are to be trained in full. Neurons are along their first axis.
        share: in (0, 1], the share of a neuron's connections that are trained, at least one.
        by: ``"magnitude"``, of the weights; ``"gradient"``, of what is in ``.grad``, e.g. after
            ``sum(losses).backward()`` over a few batches.

    Source: Zhang et al., Proactive Gradient Conflict Mitigation in Multi-Task Learning: A Sparse Training Perspective,
    2024, which selects by magnitude and finds a share of about 0.3 best for pre-trained models and 0.6 for others. By
    gradient is the rule of the first author's earlier work on fine-tuning. What becomes of biases is not said there.
    """

    method: ClassVar[Method] = Method(
        title="Sparse training",
        paper="Proactive Gradient Conflict Mitigation in Multi-Task Learning: A Sparse Training Perspective",
        year=2024,
        url="https://arxiv.org/abs/2411.18615",
        needs="parameters",
        cost="O(P) per step",
        catalogue=(58,),
    )
    selected: Tensor

    def __init__(self, parameters: Iterable[Tensor], share: float = 0.3, by: By = "magnitude") -> None:
        super().__init__()
        if not 0.0 < share <= 1.0:
            raise ConfigurationError(f"share must lie in (0, 1], 0.3 for one; got {share}")
        if by not in get_args(By):
            raise ConfigurationError(f"SparseTraining selects by no {by!r}. {suggest(str(by), get_args(By))}")
        # A tuple, so that this module does not take the parameters for its own.
        self._parameters_of = read_parameters(parameters, "parameters", leaves=True)
        self.share = share
        chosen = [_strongest(_scores(parameter, by), share).flatten() for parameter in self._parameters_of]
        self.register_buffer("selected", torch.cat([part.to(chosen[0].device) for part in chosen]))
        self._kept: list[Tensor] = []

    def attach(self, optimiser: Optimizer) -> SparseTraining:
        """Have every step of ``optimiser`` leave the weights that are not selected as they are, and return this."""
        optimiser.register_step_pre_hook(self._before)
        optimiser.register_step_post_hook(self._after)
        return self

    def masks(self) -> list[Tensor]:
        """Return by parameter which of its numbers are trained, as bool tensors of its shape."""
        parts = columns(self._parameters_of)
        return [
            self.selected[part].view(parameter.shape).to(parameter.device)
            for part, parameter in zip(parts, self._parameters_of, strict=True)
        ]

    @torch.no_grad()
    def _before(self, *_: Any) -> None:
        masks = self.masks()
        self._kept = [parameter[~mask] for parameter, mask in zip(self._parameters_of, masks, strict=True)]
        for parameter, mask in zip(self._parameters_of, masks, strict=True):
            if parameter.grad is not None:
                parameter.grad.masked_fill_(~mask, 0.0)

    @torch.no_grad()
    def _after(self, *_: Any) -> None:
        for parameter, mask, kept in zip(self._parameters_of, self.masks(), self._kept, strict=True):
            parameter[~mask] = kept
        self._kept = []

    def extra_repr(self) -> str:
        return f"share={self.share}"


def _scores(parameter: Tensor, by: By) -> Tensor:
    if by == "magnitude":
        return parameter.detach().abs()
    if parameter.grad is None:
        raise ConfigurationError(
            f"a parameter of shape {list(parameter.shape)} has no .grad to select by: run a backward pass first"
        )
    return parameter.grad.detach().abs()


def _strongest(scores: Tensor, share: float) -> Tensor:
    """Return which of ``scores`` ``[neurons, ...]`` are among the largest of their neuron."""
    chosen = torch.ones_like(scores, dtype=torch.bool)
    if scores.ndim < 2:
        return chosen
    rows = scores.flatten(1)
    best = rows.topk(max(1, round(share * rows.shape[1])), dim=1).indices
    return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, best, True).view(scores.shape)
