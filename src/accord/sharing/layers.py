"""Small pieces: linear layers that draw from a given generator, activations by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError, suggest

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "selu": functional.selu,
    "tanh": torch.tanh,
}


def activation(name: str) -> Activation:
    """Return the function called ``name``.

    Raises:
        ConfigurationError: there is none; suggests the nearest.
    """
    if name not in ACTIVATIONS:
        raise ConfigurationError(f"unknown activation {name!r}. {suggest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


def check_dropout(rate: float, name: str = "dropout") -> float:
    """Return ``rate`` if it is a probability below 1, else raise a :class:`ConfigurationError`."""
    if not 0.0 <= rate < 1.0:
        raise ConfigurationError(f"{name} is {rate!r}, must be at least 0 and below 1.")
    return float(rate)


def check_positive(value: int, name: str) -> int:
    """Return ``value`` if it is a whole number above 0, else raise a :class:`ConfigurationError`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}, must be a whole number of at least 1.")
    return value


def uniform(*shape: int, fan_in: int, generator: torch.Generator | None) -> nn.Parameter:
    """Return a parameter drawn from ``U(-1/sqrt(fan_in), 1/sqrt(fan_in))``, as PyTorch's linear layers are."""
    bound = 1.0 / math.sqrt(max(fan_in, 1))
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=generator))


def linear(in_features: int, out_features: int, generator: torch.Generator | None, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer whose start depends on ``generator`` alone (the global one when ``None``)."""
    # On the meta device the layer's own initialisation draws nothing from the global generator.
    layer = nn.Linear(in_features, out_features, bias=bias, device="meta")
    layer.weight = uniform(out_features, in_features, fan_in=in_features, generator=generator)
    if bias:
        layer.bias = uniform(out_features, fan_in=in_features, generator=generator)
    return layer
