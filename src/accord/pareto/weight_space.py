"""Models that make the weights of a plain network from a preference."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from accord.pareto.preference_model import PreferenceModel


class WeightSpaceModel(PreferenceModel):
    """A preference model whose solutions all have the shape of one network.

    Args:
        tasks: T.
        net: the network, for the names of its parameters; parameters that are tied stay so.
    """

    def __init__(self, tasks: int, net: nn.Module) -> None:
        super().__init__(tasks)
        first: dict[int, str] = {}
        named = net.named_parameters(remove_duplicate=False)
        self.names = {name: first.setdefault(id(parameter), name) for name, parameter in named}

    @property
    @abstractmethod
    def skeleton(self) -> nn.Module:
        """The network that is given the weights; what it has besides parameters is used as it is."""

    @abstractmethod
    def weights(self, preference: Tensor) -> Mapping[str, Tensor]:
        """Return the parameters of the solution for ``preference`` ``[T]`` by name; differentiable, fit for ``vmap``.

        Of tied parameters, the first name counts. Those left out are as they are in the skeleton.
        """

    def respond(self, inputs: Any, preference: Tensor) -> Any:
        arguments = inputs if isinstance(inputs, tuple) else (inputs,)
        return functional_call(self.skeleton, self._named(preference), arguments)

    def solution(self, preference: Tensor) -> nn.Module:
        with torch.no_grad():
            weights = self._named(preference.to(next(self.parameters())))
        return filled(self.skeleton, weights)

    def _named(self, preference: Tensor) -> dict[str, Tensor]:
        weights = self.weights(preference)
        return {name: weights[first] for name, first in self.names.items() if first in weights}


def emptied(net: nn.Module) -> nn.Module:
    """Return a copy of ``net`` without parameters: empty tensors stand where they were, which no state dict has."""
    net = copy.deepcopy(net)
    for module in net.modules():
        for name in [name for name, parameter in module.named_parameters(recurse=False) if parameter is not None]:
            del module._parameters[name]
            module.register_buffer(name, torch.empty(0), persistent=False)
    return net


def filled(net: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of ``net`` with copies of ``weights`` as its parameters of those names, tied where one."""
    net = copy.deepcopy(net)
    made: dict[int, nn.Parameter] = {}
    for name, weight in weights.items():
        path, _, last = name.rpartition(".")
        module = net.get_submodule(path)
        if last in module._buffers:
            delattr(module, last)
        module.register_parameter(last, made.setdefault(id(weight), nn.Parameter(weight.detach().clone())))
    return net
