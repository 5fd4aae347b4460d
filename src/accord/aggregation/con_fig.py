"""Conflict-free inverse gradients: the direction with the same angle to every gradient."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.preference import PreferenceAggregator
from accord.linalg import normalise, precision, with_projections
from accord.method import Method


class ConFIG(PreferenceAggregator):
    """Move along the direction whose cosine is alike with all gradients, by their mean projection on it.

    With unit gradients ``U`` the direction is ``u = U^+ p / |U^+ p|``, for which ``<g_i / |g_i|, u>`` is in proportion
    to ``p_i``, and the update ``1/T sum_i <g_i, u> u``. It turns with no loss's scale, and is shorter the stronger the
    conflict.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, of either sign. Cost O(T^3) after the
    Gramian: ``U^+ p = U' (U U')^+ p``, so the pseudo-inverse of a ``[T, P]`` matrix, which peers compute, is not
    needed.

    Args:
        preference: ``[T]`` relative cosines ``p``; equal if ``None``.

    Source: Liu, Chu and Thuerey, ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks, 2024. The
    paper's update is as long as the sum of the projections; here their mean, the common scale. Independent gradients
    all gain. Where they are dependent the cosines are as nearly alike as least squares can make them, and a task may
    lose; if they have no part that can be alike (opposed gradients) the update is 0. A zero gradient has no direction
    and is left out, but counts in the mean.
    """

    method: ClassVar[Method] = Method(
        title="ConFIG",
        paper="ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks",
        year=2024,
        url="https://arxiv.org/abs/2408.11104",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def solve(self, gramian: Tensor, preference: Tensor) -> Tensor:
        matrix = gramian.numpy()
        cosines, norms = normalise(matrix)
        used = norms > 0
        block = cosines[np.ix_(used, used)]
        towards = with_projections(block, preference.numpy()[used], precision(matrix))
        weights = np.zeros_like(norms)
        square = float(towards @ block @ towards)
        if square > 0:
            length = norms[used] @ (block @ towards) / len(norms)
            weights[used] = towards / norms[used] * (length / square)
        return torch.from_numpy(weights)
