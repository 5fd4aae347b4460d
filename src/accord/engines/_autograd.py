"""Calls into autograd, with the errors people can do something about put in their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from accord.errors import ConfigurationError

_REMEDIES = (
    (
        "donated buffer",
        "a compiled module frees its buffers in the first backward, but one backward per task is needed: set "
        "torch._functorch.config.donated_buffer = False before compiling",
    ),
    (
        "backward through the graph a second time",
        "the graph of these losses was freed by an earlier backward: pass retain_graph=True to the earlier one",
    ),
    (
        "from the 'Sparse",
        "a shared parameter has sparse gradients, and one dense row per task would be made of them: use sparse=False "
        "in this embedding, leave it out of shared, or, where the Gramian suffices and there is no group=, "
        'pass engine="gramian"',
    ),
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn autograd's errors that have a remedy into a :class:`ConfigurationError` that states it."""
    try:
        yield
    except RuntimeError as error:
        for sign, remedy in _REMEDIES:
            if sign in str(error):
                raise ConfigurationError(remedy) from error
        raise


def edge_of(tensor: Tensor) -> GradientEdge:
    """Return where gradients of ``tensor`` arrive."""
    # A subclass that has a say in its operations would show another node, that of its own view.
    with torch._C.DisableTorchFunctionSubclass():
        return get_gradient_edge(tensor)


def unit(edge: GradientEdge, value: float = 1.0) -> Tensor:
    """Return the gradient ``value`` for the output behind ``edge``, in its own shape, dtype and device."""
    meta = edge.node._input_metadata[edge.output_nr]
    # Made in float32 where the value may be beyond the range of half precision, which is to give an infinity.
    dtype = torch.float32 if meta.dtype == torch.float16 else meta.dtype
    return torch.full(tuple(meta.shape), value, dtype=dtype, device=meta.device).to(meta.dtype)


def pull(
    edges: Sequence[GradientEdge],
    cotangents: Sequence[Tensor],
    wanted: Sequence[Tensor | GradientEdge],
    *,
    keep: bool,
    batched: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of ``wanted`` given the ``cotangents`` at ``edges``; ``None`` where nothing leads there.

    Args:
        edges: where to start.
        cotangents: one per edge, each with a leading task dimension when ``batched``.
        wanted: leaves, tensors of the graph, or edges into it.
        keep: leave the graph usable.
        batched: one vectorised backward over the leading dimension.
    """
    if not wanted or not edges:
        return (None,) * len(wanted)
    with explained():
        return torch.autograd.grad(  # pyright: ignore[reportCallIssue]
            edges,  # pyright: ignore[reportArgumentType]
            wanted,  # pyright: ignore[reportArgumentType]
            cotangents,
            retain_graph=keep,
            allow_unused=True,
            is_grads_batched=batched,
        )


def add_to_grad(parameter: Tensor, gradient: Tensor) -> None:
    """Accumulate ``gradient`` (same number of elements) into ``parameter.grad``, in the parameter's layout.

    Hooks that wait for this, such as an optimiser's that steps at once, run as after any backward. To be called once
    for a parameter.
    """
    _write(parameter, gradient)
    for hook in list((parameter._post_accumulate_grad_hooks or {}).values()):  # pyright: ignore
        hook(parameter)


def _write(parameter: Tensor, gradient: Tensor) -> None:
    if gradient.is_sparse:
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return
    value = gradient.reshape(parameter.shape)
    if parameter.grad is not None:
        parameter.grad.add_(value)
    elif (value.dtype, value.device, value.stride()) == (parameter.dtype, parameter.device, parameter.stride()):
        parameter.grad = value
    else:
        parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(value)
