"""Check the parameters that people pass, and say which one is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from accord.errors import ConfigurationError


def read_parameters(given: Iterable[Tensor], role: str = "shared", *, leaves: bool = False) -> tuple[Tensor, ...]:
    """Return the trainable tensors of ``given`` in order; frozen parameters are left out.

    Args:
        given: parameters, or tensors of the graph.
        role: the argument's name, for messages.
        leaves: whether each must be able to hold a ``.grad``.

    Raises:
        ConfigurationError: none, not tensors, one twice, one without gradient, or only frozen ones.
    """
    if isinstance(given, nn.Module):
        raise ConfigurationError(f"{role} is a module ({type(given).__name__}); pass its .parameters()")
    if isinstance(given, Tensor):
        raise ConfigurationError(f"{role} is one tensor of shape {list(given.shape)}; pass a list of tensors")
    tensors = list(given)
    if not tensors:
        raise ConfigurationError(
            f"{role} is empty: pass the parameters, e.g. trunk.parameters(); "
            "a generator that was already used up is empty too"
        )
    seen: dict[int, int] = {}
    for position, tensor in enumerate(tensors):
        _check(role, position, tensor, leaves)
        if id(tensor) in seen:
            raise ConfigurationError(
                f"{role}[{position}] (shape {list(tensor.shape)}) is the same tensor as {role}[{seen[id(tensor)]}]; "
                "pass each once"
            )
        seen[id(tensor)] = position
    trainable = tuple(tensor for tensor in tensors if tensor.requires_grad)
    if not trainable:
        raise ConfigurationError(f"all {len(tensors)} parameters of {role} are frozen (requires_grad is False)")
    return trainable


def _check(role: str, position: int, tensor: object, leaves: bool) -> None:
    if not isinstance(tensor, Tensor):
        hint = "; pass .parameters(), not .named_parameters()" if isinstance(tensor, tuple) else ""
        raise ConfigurationError(f"{role}[{position}] is a {type(tensor).__name__}, not a tensor{hint}")
    what = f"{role}[{position}] (shape {list(tensor.shape)})"
    if not tensor.requires_grad and not isinstance(tensor, nn.Parameter):
        raise ConfigurationError(f"{what} does not require a gradient; call .requires_grad_() before the forward")
    if leaves and not tensor.is_leaf:
        raise ConfigurationError(f"{what} is the result of a computation and cannot hold a .grad; pass parameters")
