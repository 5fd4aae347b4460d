"""Batches of every task: how modules are called with them, and how they come round again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from accord.errors import ConfigurationError, DataError

Batches = Mapping[str, Iterable[Any]]
LABELS = ("labels", "label", "targets", "target", "y")


def inputs_of(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments that a batch gives a module.

    A batch is a tensor; a tuple or list whose first element is the input and whose last may be the labels; or a
    mapping of keyword arguments, where labels have one of the names in :data:`LABELS` and are not passed on.
    """
    if isinstance(batch, Mapping):
        return (), {key: value for key, value in batch.items() if key not in LABELS}
    return (batch[0] if isinstance(batch, tuple | list) else batch,), {}


def call_with(module: Callable[..., Any], batch: Any) -> Any:
    """Return ``module``'s output for the inputs of a batch."""
    args, named = inputs_of(batch)
    return module(*args, **named)


def call_watched(module: Callable[..., Any], batches: Iterable[Any], hooks: Iterable[RemovableHandle]) -> None:
    """Call ``module`` for each batch, for the sake of what ``hooks`` see of it; they are removed whatever happens."""
    try:
        for batch in batches:
            call_with(module, batch)
    finally:
        for hook in hooks:
            hook.remove()


def labels_of(batch: Any, task: str) -> Tensor:
    """Return the labels of a batch.

    Raises:
        DataError: it has none.
    """
    if isinstance(batch, Mapping):
        for key in LABELS:
            if key in batch:
                return batch[key]
    elif isinstance(batch, tuple | list) and len(batch) > 1:
        return batch[-1]
    raise DataError(f"the batches of {task!r} have no labels: give (inputs, labels), or a mapping with 'labels'")


def logits_of(output: Any) -> Tensor:
    """Return the tensor of an output: itself, or its ``logits``.

    Raises:
        DataError: it is neither.
    """
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(found, Tensor):
        raise DataError(f"a module returned {type(output).__name__}, neither a tensor nor something with .logits")
    return found


def endless(batches: Iterable[Any], task: str) -> Iterator[Any]:
    """Yield batches, from the start again when they end.

    Raises:
        DataError: there are none, or ``batches`` can be read only once.
    """
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise DataError(
                f"the batches of {task!r} are empty, or an iterator that is used up; give a list or a loader"
            )


def check_tasks(batches: Batches, tasks: Iterable[str]) -> None:
    """Refuse batches that are not those of the tasks.

    Raises:
        ConfigurationError: names a task without batches, or batches without a task.
    """
    wanted = list(tasks)
    if not isinstance(batches, Mapping):
        raise ConfigurationError(f"batches must map each task to its batches; got a {type(batches).__name__}")
    for task in wanted:
        if task not in batches:
            raise ConfigurationError(f"no batches were given for {task!r}; there are some for {list(batches)}")
    for task in batches:
        if task not in wanted:
            raise ConfigurationError(f"batches were given for {task!r}, which has no expert; experts: {wanted}")
