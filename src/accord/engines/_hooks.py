"""Hooks on parameters, which nothing but an ordinary backward runs."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from accord.errors import ConfigurationError


def hooked(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return those of ``tensors`` with a hook by ``register_hook``."""
    return [tensor for tensor in tensors if tensor._backward_hooks]


def refuse_hooks(engine: str, tensors: Iterable[Tensor]) -> None:
    """Raise a :class:`ConfigurationError` if one of ``tensors`` has a hook, which ``engine`` would pass over."""
    found = hooked(tensors)
    if found:
        raise ConfigurationError(
            f"a parameter of shape {list(found[0].shape)} has a hook, which engine={engine!r} would pass over: use "
            'engine="loop" or engine="batched"'
        )


def refuse_waiting_hooks(what: str, tensors: Iterable[Tensor]) -> None:
    """Raise a :class:`ConfigurationError` if hooks wait for a ``.grad`` of ``tensors``; ``what`` runs them T times."""
    if any(tensor._post_accumulate_grad_hooks for tensor in tensors):  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigurationError(
            f"register_post_accumulate_grad_hook was called on a parameter, and {what} runs such hooks in the backward "
            "of every task, before the direction is known: leave them out, and step the optimiser after accord.backward"
        )
