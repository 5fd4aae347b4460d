"""Arithmetic on what models predict, instead of on their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.merging.learned.batches import logits_of
from accord.method import Method


class LogitDifference(nn.Module):
    """Undo a behaviour while predicting: ``log p - strength * (log a)``, normalised, where ``a`` learned the opposite.

    The assistant ``a`` is a small model trained on the *reversed* objectives: to remember what shall be forgotten and
    to be uniform on what shall be kept. Subtracting it leaves alone what it is uniform on, and removes what it knows.
    Classes that the model itself gives less than ``floor`` times its most probable one stay excluded, since a small
    probability times a large ratio would otherwise bring up nonsense; this is the filter of the published method.
    :func:`reversed_objectives` is what the assistant descends.

    Args:
        model: predicts logits ``[..., classes]`` from any inputs.
        assistant: predicts logits of the same classes from the same inputs.
        strength: how much is taken away; 0 gives the model back.
        floor: in [0, 1); 0 filters nothing.

    Source: Ji et al., Reversing the Forget-Retain Objectives: An Efficient LLM Unlearning Framework from Logit
    Difference, 2024.
    """

    method: ClassVar[Method] = Method(
        title="Logit difference (ULD)",
        paper="Reversing the Forget-Retain Objectives: An Efficient LLM Unlearning Framework from Logit Difference",
        year=2024,
        url="https://arxiv.org/abs/2406.08607",
        needs="nothing",
        cost="1 forward of the model and of the assistant",
        catalogue=(729,),
    )

    def __init__(self, model: nn.Module, assistant: nn.Module, strength: float = 0.75, floor: float = 0.01) -> None:
        super().__init__()
        if not 0 <= floor < 1:
            raise ConfigurationError(f"floor must lie in [0, 1); got {floor}")
        self.model = model
        self.assistant = assistant
        self.strength = strength
        self.floor = floor

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return log-probabilities ``[..., classes]``; -inf for what is filtered.

        Raises:
            DataError: a module gives out neither a tensor nor something with ``.logits``.
        """
        own = logits_of(self.model(*args, **kwargs)).log_softmax(dim=-1)
        other = logits_of(self.assistant(*args, **kwargs)).log_softmax(dim=-1)
        return logit_difference(own, other, self.strength, self.floor)


def logit_difference(model: Tensor, assistant: Tensor, strength: float, floor: float = 0.0) -> Tensor:
    """Return normalised ``log_softmax(model) - strength * log_softmax(assistant)``.

    Args:
        model: logits ``[..., classes]``.
        assistant: the same.
        strength: how much is taken away.
        floor: classes below this fraction of the model's most probable one are excluded (-inf).

    Raises:
        ConfigurationError: the two are not over the same classes.
    """
    if model.shape != assistant.shape:
        raise ConfigurationError(
            f"the model predicts {list(model.shape)} and its assistant {list(assistant.shape)}: not the same classes"
        )
    own = model.log_softmax(dim=-1)
    edited = own - strength * assistant.log_softmax(dim=-1)
    # A probability of 0 stays one: -inf minus -inf would say nothing.
    faint = own.isneginf()
    if floor > 0:
        faint |= own.exp() < floor * own.exp().amax(dim=-1, keepdim=True)
    return edited.masked_fill(faint, -torch.inf).log_softmax(dim=-1)


def reversed_objectives(forget: Tensor, labels: Tensor, retain: Tensor, weight: float = 5.0) -> Tensor:
    """Return the loss of an assistant that shall know what is to be forgotten, and nothing of what is to be kept.

    ``cross_entropy(forget, labels) + weight KL(uniform | softmax(retain))``, each the mean over its samples.

    Args:
        forget: the assistant's logits ``[..., classes]`` on what shall be forgotten.
        labels: its classes ``[...]``; -100 does not count.
        retain: the assistant's logits ``[..., classes]`` on what shall be kept.
        weight: 5 in the authors' code.

    Source: Ji et al., 2024; see :class:`LogitDifference`.
    """
    classes = forget.shape[-1]
    known = functional.cross_entropy(forget.reshape(-1, classes), labels.reshape(-1))
    unknown = -retain.log_softmax(dim=-1).mean() - math.log(retain.shape[-1])
    return known + weight * unknown


def logit_arithmetic(base: Tensor, plus: Sequence[Tensor] = (), minus: Sequence[Tensor] = ()) -> Tensor:
    """Return ``base + sum(plus) - sum(minus)`` of log-probabilities ``[..., classes]``, normalised.

    The task arithmetic of predictions: a large model plus what a small one gained by fine-tuning is
    ``logit_arithmetic(large, plus=[small_tuned], minus=[small])`` (proxy-tuning, Liu et al. 2024).
    """
    total = base.log_softmax(dim=-1)
    for logits in plus:
        total = total + logits.log_softmax(dim=-1)
    for logits in minus:
        total = total - logits.log_softmax(dim=-1)
    return total.log_softmax(dim=-1)
