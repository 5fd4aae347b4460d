"""One loop for everything that is learned about merged weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accord.merging.in_memory import NonFiniteMergeWarning
from accord.merging.learned.batches import Batches, endless

Loss = Callable[[str, dict[str, Tensor], Any], Tensor]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned.

    Attributes:
        parameters: what is adjusted: tensors, or the optimiser's groups of them.
        state: makes the merged weights of a step out of them.
        loss: of a task, on these weights, for a batch.
        tasks: in order.
        rate: of Adam, betas 0.9 and 0.999.
        clip: largest norm of the gradient of all parameters; 0 does not clip.
        settle: called after every step, e.g. to clamp.
    """

    parameters: Sequence[Tensor] | Sequence[dict[str, Any]]
    state: Callable[[], dict[str, Tensor]]
    loss: Loss
    tasks: Sequence[str]
    rate: float
    clip: float = 0.0
    weight_decay: float = 0.0
    settle: Callable[[], None] = lambda: None


def learn(lesson: Lesson, batches: Batches, steps: int) -> Tensor:
    """Take ``steps`` steps on the sum of the tasks' losses, one batch of each per step.

    A task whose loss is not finite sits a step out, and is named in a :class:`NonFiniteMergeWarning` at the end. Each
    task is differentiated by itself down to the merged weights, so that memory holds the activations of one.

    Returns:
        The losses, ``[steps, tasks]``.
    """
    rounds = {task: endless(batches[task], task) for task in lesson.tasks}
    optimiser = torch.optim.AdamW(lesson.parameters, lr=lesson.rate, weight_decay=lesson.weight_decay)
    history = torch.full((steps, len(lesson.tasks)), torch.nan)
    for step in range(steps):
        optimiser.zero_grad()
        state = lesson.state()
        leaves = {name: value.detach().requires_grad_(value.requires_grad) for name, value in state.items()}
        for place, task in enumerate(lesson.tasks):
            history[step, place] = _differentiate(lesson.loss(task, leaves, next(rounds[task])))
        _through(state, leaves)
        if lesson.clip:
            torch.nn.utils.clip_grad_norm_(
                [p for group in optimiser.param_groups for p in group["params"]], lesson.clip
            )
        optimiser.step()
        lesson.settle()
    _tell(lesson.tasks, history)
    return history


def _differentiate(loss: Tensor) -> float:
    value = float(loss.detach())
    if loss.requires_grad and torch.isfinite(loss):
        loss.backward()
    return value


def _through(state: Mapping[str, Tensor], leaves: Mapping[str, Tensor]) -> None:
    # The merged weights depend on what is learned once a step, whatever the number of tasks.
    reached = [name for name, leaf in leaves.items() if leaf.grad is not None]
    if reached:
        torch.autograd.backward([state[name] for name in reached], [leaves[name].grad for name in reached])


def _tell(tasks: Sequence[str], history: Tensor) -> None:
    for place, task in enumerate(tasks):
        missed = int((~history[:, place].isfinite()).sum())
        if missed:
            warnings.warn(
                f"the loss of {task!r} was not finite in {missed} of {len(history)} steps; it sat them out",
                NonFiniteMergeWarning,
                stacklevel=4,
            )
