"""Groups of units of any network that can be traced, read off what it computes."""

from __future__ import annotations

import inspect
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.passes.shape_prop import ShapeProp

from accord.errors import ConfigurationError
from accord.merging.learned.batches import inputs_of
from accord.merging.learned.experts import evaluating
from accord.merging.permuting.groups import Groups
from accord.merging.permuting.unit_walk import UnitWalk


def traced_groups(model: nn.Module, batch: Any) -> Groups:
    """Return the groups of units of a network whose order is free, and where each of them lies.

    The network is traced (``torch.fx``), and units are followed from the layer that makes them through norms,
    activations, pooling, flattening, broadcasts and skip connections, which join groups, to the layers that take them
    in. Whatever is not known to leave the order of units free fixes it: attention, recurrent layers, convolutions in
    groups, indexing, concatenation, the outputs. What is found is tried out: the permuted network must give the same
    for ``batch``.

    A group is called after the first layer that makes its units, so that ``unit_activations(model, groups.sizes, ...)``
    looks at these.

    Args:
        model: convolutional or residual network, perceptron, embedding and alike.
        batch: inputs that it takes; see :class:`accord.merging.LearnedMerging`.

    Raises:
        ConfigurationError: the network cannot be traced, has no units of free order, or does not bear the trial.
    """
    args, named = inputs_of(batch)
    with evaluating({"model": model}), torch.no_grad():
        graph = _trace(model, args, named)
        groups = UnitWalk(model, graph).groups()
        if not groups.sizes:
            raise ConfigurationError("no units of this network are known to have a free order; describe the groups")
        _try_out(model, groups, args, named)
    return groups


def _trace(model: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> fx.Graph:
    try:
        bound = inspect.signature(model.forward).bind(*args, **named)
        given = dict(bound.arguments)
        bound.apply_defaults()
        rest = {name: value for name, value in bound.arguments.items() if name not in given}
        traced = fx.GraphModule(model, fx.Tracer().trace(model, concrete_args=rest or None))
        places = [node.target for node in traced.graph.nodes if node.op == "placeholder"]
        ShapeProp(traced).propagate(*(given.get(str(place), rest.get(str(place))) for place in places))
    except Exception as error:  # a network may fail to be traced in any way there is
        raise ConfigurationError(
            f"this network cannot be traced ({type(error).__name__}: {error}); describe its groups of units by Groups"
        ) from error
    return traced.graph


def _try_out(model: nn.Module, groups: Groups, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    order = {group: torch.arange(size).flip(0).roll(1) for group, size in groups.sizes.items()}
    state = dict(chain(model.named_parameters(), model.named_buffers()))
    moved = groups.permute({name: tensor for name, tensor in state.items() if name in groups.axes}, order)
    one, other = (_tensors(output) for output in (model(*args, **named), functional_call(model, moved, args, named)))
    for before, after in zip(one, other, strict=True):
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max()) if before.numel() else 0):
            raise ConfigurationError("this network does not compute the same with permuted units; describe its groups")


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]
