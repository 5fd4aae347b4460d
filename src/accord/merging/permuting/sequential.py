"""Groups of units of networks whose layers follow one another."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from accord.errors import ConfigurationError
from accord.merging.permuting.groups import Axis, Groups

Convolutions = nn.Conv1d | nn.Conv2d | nn.Conv3d
Norms = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.LayerNorm


def sequential_groups(network: nn.Sequential) -> Groups:
    """Return the groups of hidden units of a perceptron or convolutional network.

    Each linear or convolutional layer but the last makes one group, which runs through norms, activations, pooling and
    flattening to the next such layer; depthwise convolutions pass it on.

    Args:
        network: linear, convolutional, normalising and parameterless layers in the order of work, nested or not.

    Raises:
        ConfigurationError: a layer is of another kind; it is named. :func:`traced_groups` reads other networks.
    """
    layers = list(_layers(network, ""))
    makers = [name for name, layer in layers if isinstance(layer, nn.Linear | Convolutions) and not _depthwise(layer)]
    if len(makers) < 2:
        raise ConfigurationError("a network without hidden layers has no units whose order is free")
    axes: dict[str, tuple[Axis, ...]] = {}
    sizes: dict[str, int] = {}
    group: Axis = None
    for name, layer in layers:
        if isinstance(layer, nn.Linear | Convolutions):
            made = group if _depthwise(layer) else (None if name == makers[-1] else name)
            taken = None if _depthwise(layer) else group
            axes[f"{name}.weight"] = (made, taken, *[None] * (layer.weight.ndim - 2))
            if layer.bias is not None:
                axes[f"{name}.bias"] = (made,)
            if made is not None:
                sizes.setdefault(made, layer.weight.shape[0])
            group = made
        elif isinstance(layer, Norms):
            vectors = [(key, value) for key, value in layer.state_dict().items() if value.ndim == 1]
            axes.update({f"{name}.{key}": (group,) for key, _ in vectors})
        elif any(True for _ in layer.parameters()):
            raise ConfigurationError(
                f"{name} is a {type(layer).__name__}, whose units are not known; describe the groups"
            )
    groups = Groups(axes, sizes)
    groups.check(network.state_dict())
    return groups


def _layers(network: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential):
            yield from _layers(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _depthwise(layer: nn.Module) -> bool:
    if not isinstance(layer, Convolutions) or layer.groups == 1:
        return False
    if layer.groups != layer.in_channels or layer.out_channels != layer.in_channels:
        raise ConfigurationError(
            f"a convolution in {layer.groups} groups of several channels has no free order of units"
        )
    return True
