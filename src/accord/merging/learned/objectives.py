"""What is minimised where labels are missing, and where they are not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def entropy(logits: Tensor) -> Tensor:
    """Return the mean Shannon entropy, in nats, of ``softmax(logits [..., classes])``; of a sigmoid for one class."""
    if logits.shape[-1] == 1:
        logits = torch.cat([logits, torch.zeros_like(logits)], dim=-1)
    logs = functional.log_softmax(logits, dim=-1)
    return -(logs.exp() * logs).sum(dim=-1).mean()


def likeness(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a supervised batch, by the labels' type.

    Whole numbers are classes (cross-entropy), or 0 and 1 for a single logit; floating numbers of the logits' shape are
    values (mean squared error).
    """
    if labels.is_floating_point():
        return functional.mse_loss(logits, labels.reshape(logits.shape))
    if logits.shape[-1] == 1:
        return functional.binary_cross_entropy_with_logits(logits.flatten(), labels.flatten().to(logits))
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.flatten())


def agreement(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return ``temperature^2 KL(teacher || student)``, mean over samples, between softmaxes of ``[..., classes]``."""
    logs = functional.log_softmax(student / temperature, dim=-1).reshape(-1, student.shape[-1])
    known = functional.log_softmax(teacher / temperature, dim=-1).reshape(-1, teacher.shape[-1])
    return functional.kl_div(logs, known, reduction="batchmean", log_target=True) * temperature**2
