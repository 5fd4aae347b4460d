"""Check the parameters that people pass, and say which one is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from accord.errors import ConfigurationError

Shared = Iterable[Tensor] | Mapping[str, Iterable[Tensor] | Tensor]


def read_parameters(given: Iterable[Tensor], role: str = "shared", *, leaves: bool = False) -> tuple[Tensor, ...]:
    """Return the trainable tensors of ``given`` in order; frozen parameters are left out.

    Args:
        given: parameters, or tensors of the graph.
        role: the argument's name, for messages.
        leaves: whether each must be able to hold a ``.grad``.

    Raises:
        ConfigurationError: none, not tensors, one twice, one without gradient, or only frozen ones.
    """
    if isinstance(given, Tensor):
        raise ConfigurationError(f"{role} is one tensor of shape {list(given.shape)}; pass a list of tensors")
    return _trainable(_labelled(given, role), role, leaves)


def read_groups(given: Shared, *, leaves: bool = False) -> tuple[tuple[Tensor, ...], dict[str, tuple[int, ...]]]:
    """Return the trainable tensors of ``shared`` and, if it is a mapping, by group the positions of its own.

    A group may be one tensor, and may be empty, as layers without parameters are, or frozen.

    Raises:
        ConfigurationError: as for :func:`read_parameters`; a tensor in two groups.
    """
    if not isinstance(given, Mapping):
        return read_parameters(given, leaves=leaves), {}
    role = "shared"
    parts = {
        name: _labelled([part] if isinstance(part, Tensor) else part, f"{role}[{name!r}]")
        for name, part in given.items()
    }
    trainable = _trainable([pair for part in parts.values() for pair in part], role, leaves)
    places = {id(tensor): position for position, tensor in enumerate(trainable)}
    found: dict[str, tuple[int, ...]] = {
        str(name): tuple(places[id(tensor)] for _, tensor in part if id(tensor) in places)
        for name, part in parts.items()
    }
    return trainable, found


def _labelled(given: Iterable[Tensor], role: str) -> list[tuple[str, Tensor]]:
    if isinstance(given, nn.Module):
        raise ConfigurationError(f"{role} is a module ({type(given).__name__}); pass its .parameters()")
    return [(f"{role}[{position}]", tensor) for position, tensor in enumerate(given)]


def _trainable(labelled: list[tuple[str, Tensor]], role: str, leaves: bool) -> tuple[Tensor, ...]:
    if not labelled:
        raise ConfigurationError(
            f"{role} is empty: pass the parameters, e.g. trunk.parameters(); "
            "a generator that was already used up is empty too"
        )
    seen: dict[int, str] = {}
    for label, tensor in labelled:
        _check(label, tensor, leaves)
        if id(tensor) in seen:
            raise ConfigurationError(
                f"{label} (shape {list(tensor.shape)}) is the same tensor as {seen[id(tensor)]}; pass each once"
            )
        seen[id(tensor)] = label
    trainable = tuple(tensor for _, tensor in labelled if tensor.requires_grad)
    if not trainable:
        raise ConfigurationError(f"all {len(labelled)} parameters of {role} are frozen (requires_grad is False)")
    return trainable


def _check(label: str, tensor: object, leaves: bool) -> None:
    if not isinstance(tensor, Tensor):
        hint = "; pass .parameters(), not .named_parameters()" if isinstance(tensor, tuple) else ""
        raise ConfigurationError(f"{label} is a {type(tensor).__name__}, not a tensor{hint}")
    what = f"{label} (shape {list(tensor.shape)})"
    if not tensor.requires_grad and not isinstance(tensor, nn.Parameter):
        raise ConfigurationError(f"{what} does not require a gradient; call .requires_grad_() before the forward")
    if leaves and not tensor.is_leaf:
        raise ConfigurationError(f"{what} is the result of a computation and cannot hold a .grad; pass parameters")
