"""Groups of small networks of equal shape, computed together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.sharing.layers import activation, check_dropout, check_positive, uniform


class Experts(nn.Module):
    """The weights of ``count`` networks of equal shape; :func:`run_experts` computes any number of groups at once.

    Args:
        count: number of networks E.
        in_features: D.
        hidden: width of each layer, the last one being H.
        generator: source of the initial weights.
    """

    def __init__(
        self, count: int, in_features: int, hidden: Sequence[int], generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        sizes = [in_features, *hidden]
        pairs = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(uniform(count, o, i, fan_in=i, generator=generator) for i, o in pairs)
        self.biases = nn.ParameterList(uniform(count, o, fan_in=i, generator=generator) for i, o in pairs)


class ExpertOptions:
    """How experts are shaped: checked once, used by every architecture.

    Args:
        hidden: width of each layer; a number means one layer.
        activation_name: after every layer.
        dropout: after every activation, while training.
    """

    def __init__(self, hidden: int | Sequence[int], activation_name: str, dropout: float) -> None:
        self.hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        if not self.hidden:
            raise ConfigurationError("hidden is empty: experts need at least one layer.")
        for width in self.hidden:
            check_positive(width, "hidden")
        self.activation = activation(activation_name)
        self.dropout = check_dropout(dropout)


def run_experts(inputs: Tensor, groups: Sequence[Experts], options: ExpertOptions, *, training: bool) -> Tensor:
    """Return the outputs ``[B, G * E, H]`` of G groups of E experts each, group after group.

    The first layer is one matrix product over all experts; later ones are one batched product each.

    Args:
        inputs: ``[B, D]`` for all groups, or ``[G, B, D]``, one per group.
        groups: equally shaped groups.
        options: activation and dropout.
        training: whether dropout is on.
    """
    weights = [torch.cat(layer) for layer in zip(*(group.weights for group in groups), strict=True)]
    biases = [torch.cat(layer) for layer in zip(*(group.biases for group in groups), strict=True)]
    hidden = _first_layer(inputs, weights[0], biases[0], len(groups))
    hidden = functional.dropout(options.activation(hidden), options.dropout, training)
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        wide = torch.baddbmm(bias.unsqueeze(1), hidden.transpose(0, 1), weight.transpose(1, 2))
        hidden = functional.dropout(options.activation(wide.transpose(0, 1)), options.dropout, training)
    return hidden


def _first_layer(inputs: Tensor, weight: Tensor, bias: Tensor, groups: int) -> Tensor:
    experts, width, features = weight.shape
    if inputs.ndim == 2:
        return functional.linear(inputs, weight.view(-1, features), bias.view(-1)).view(-1, experts, width)
    rows = inputs.shape[1]
    flat = torch.baddbmm(bias.view(groups, 1, -1), inputs, weight.view(groups, -1, features).transpose(1, 2))
    return flat.transpose(0, 1).reshape(rows, experts, width)
