"""Focal loss for two classes, and the probabilities that belong to it (Lin et al., 2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss(logits: Tensor, values: Tensor, gamma: float) -> Tensor:
    """Return ``-(1 - q)^gamma log q`` elementwise, with ``q`` the probability given to what happened.

    Args:
        logits: any shape.
        values: same shape, 0 or 1.
        gamma: 0 or more; 0 is the ordinary log loss.
    """
    towards = torch.where(values > 0.5, logits, -logits)
    return (gamma * functional.logsigmoid(-towards)).exp() * -functional.logsigmoid(towards)


def focal_logit(logits: Tensor, gamma: float) -> Tensor:
    """Return the log odds that a model trained by focal loss believes in.

    The focal risk ``p f(q) + (1 - p) f(1 - q)`` is smallest where ``p / (1 - p) = f'(1 - q) / f'(q)``, not at
    ``q = p``: focal scores are pulled towards one half. This is that identity solved for the log odds of ``p``
    (the two-class case of Charoenphakdee et al., 2021); strictly increasing, and the identity at ``gamma = 0``.
    """
    rises, falls = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    up = (gamma * rises.exp() * -rises + falls.exp()).log()
    down = (gamma * falls.exp() * -falls + rises.exp()).log()
    return gamma * logits - up + down
