"""Probability that a whole chain of events happened, in log space (ESMM, Ma et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def joint_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """Return ``log prod_k sigmoid(logits_k)`` elementwise; finite for every finite logit.

    Args:
        logits: log odds of each event given all before it, tensors of one shape, first event first.
    """
    return torch.stack([functional.logsigmoid(logit) for logit in logits]).sum(0)


def joint_log_loss(logits: Sequence[Tensor], values: Tensor) -> Tensor:
    """Return the log loss of "all events happened" elementwise, without ever forming the product.

    The paper multiplies sigmoids and takes logarithms; there ``log(1 - p)`` breaks as soon as ``p`` rounds to 1.
    Here ``1 - P_k = (1 - P_{k-1}) + P_{k-1} (1 - p_k)`` is accumulated as a sum of logarithms, so loss and gradient
    are exact for logits of any size.

    Args:
        logits: as for :func:`joint_log_probability`.
        values: same shape, 1 where all events happened, else 0.
    """
    happened, failed = functional.logsigmoid(logits[0]), functional.logsigmoid(-logits[0])
    for logit in logits[1:]:
        failed = torch.logaddexp(failed, happened + functional.logsigmoid(-logit))
        happened = happened + functional.logsigmoid(logit)
    return -torch.where(values > 0.5, happened, failed)
