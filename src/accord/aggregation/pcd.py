"""Priority-constrained descent: a primary objective, and a guaranteed share of progress for the others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import GramianAggregator, solve_active
from accord.errors import ConfigurationError
from accord.linalg import least_distance, normalise, precision
from accord.method import Method


class PCD(GramianAggregator):
    """Follow the first task's gradient as closely as the others' guaranteed progress allows.

    With gradients in units of their usual length, ``h_i = g_i / sqrt(v_i)`` for the running mean ``v_i`` of ``|g_i|^2``
    (bias corrected, as in Adam): the ``d`` nearest to ``h_1`` with ``<h_j, d> >= tau |h_j|^2`` for every other task
    ``j``, brought to the length of ``g_1``. So ``tau`` is the share of the progress that a step along its own gradient
    would bring a task, whatever the units of its loss. Where the constraints exclude each other (two opposed gradients
    besides the first) they are dropped in that step, and where ``g_1`` is 0 the step is 0. In a step without the first
    task, the first one that is there leads.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative. Cost O(T^3) after the Gramian.
    State: ``v`` ``[T]``.

    Args:
        tau: in [0, 1]; at 0 the others merely do not lose.
        beta: in [0, 1), decay of the running mean; 0 takes this step's lengths.

    Source: Varam and AlHajri, Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical
    Multi-Objective Optimization, 2026 (tau 0.02 and beta 0.999, as in the authors' code). The programme is solved as a
    least distance problem, and not by trying all 2^(T-1) sets of constraints. The 1e-8 that the paper adds to ``v`` is
    left out: gradients below 1e-4 would no longer count, and only ratios of the ``v_i`` matter. Running means count a
    task's own steps, so one that is absent now and then keeps its unit.
    """

    method: ClassVar[Method] = Method(
        title="PCD",
        paper="Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical Multi-Objective "
        "Optimization",
        year=2026,
        url="https://arxiv.org/abs/2606.29521",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )
    squares: Tensor
    steps: Tensor

    def __init__(self, tau: float = 0.02, beta: float = 0.999) -> None:
        super().__init__()
        if not 0.0 <= tau <= 1.0:
            raise ConfigurationError(f"tau must lie in [0, 1], 0.02 for one; got {tau}")
        if not 0.0 <= beta < 1.0:
            raise ConfigurationError(f"beta must lie in [0, 1), 0.999 for one; got {beta}")
        self.tau = tau
        self.beta = beta
        self.register_buffer("squares", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros(0, dtype=torch.float64))

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        tasks = len(gramian)
        if not self.steps.numel():
            self.squares, self.steps = (self.steps.new_zeros(tasks) for _ in range(2))
        if len(self.steps) != tasks:
            raise ConfigurationError(
                f"PCD is set up for {len(self.steps)} tasks but was given {tasks}; "
                "always show it the same tasks, and those that are absent with active="
            )
        kept = torch.arange(tasks) if active is None else active.cpu().nonzero().squeeze(1)
        return solve_active(lambda part: self._solve(part, kept), gramian, active)

    def _solve(self, gramian: Tensor, kept: Tensor) -> Tensor:
        usual = self._usual_lengths(gramian.diagonal(), kept)
        matrix = gramian.numpy()
        cosines, norms = normalise(matrix)
        if norms[0] == 0:
            return torch.zeros(len(norms), dtype=torch.float64)
        scaled = np.divide(norms, usual, out=np.zeros_like(norms), where=usual > 0)
        progress = np.where(norms[1:] > 0, self.tau * scaled[1:] - cosines[1:, 0] * scaled[0], 0.0)
        added = least_distance(cosines[1:, 1:], progress, precision(matrix))
        # Combinations of unit gradients from here on.
        towards = np.concatenate([scaled[:1], np.zeros_like(progress) if added is None else added])
        square = towards @ cosines @ towards
        if square <= len(norms) * precision(matrix) * towards.sum() ** 2:
            return torch.zeros(len(norms), dtype=torch.float64)
        towards *= norms[0] / np.sqrt(square)
        return torch.from_numpy(np.divide(towards, norms, out=np.zeros_like(norms), where=norms > 0))

    def _usual_lengths(self, squares: Tensor, kept: Tensor) -> np.ndarray:
        """Move the running means of the active tasks on, and return their roots ``[n]``."""
        kept = kept.to(self.steps.device)
        self.steps[kept] += 1
        self.squares[kept] = self.beta * self.squares[kept] + (1 - self.beta) * squares.to(self.squares)
        unbiased = self.squares[kept] / (1 - self.beta ** self.steps[kept])
        return unbiased.sqrt().cpu().numpy()

    def extra_repr(self) -> str:
        return f"tau={self.tau}, beta={self.beta}"
