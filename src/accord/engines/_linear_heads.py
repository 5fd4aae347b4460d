"""Heads that begin with one small linear layer on the representation: its gradients, without forming them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._autograd import pull
from accord.engines._engine import Derivatives, Problem
from accord.engines._graph import COMMON, leaf_of
from accord.engines._rules import linear_weight


class LinearHeads(Derivatives):
    """Gradients ``D_t W_tᵀ`` at a representation ``[N, d]``, held as ``D_t [N, h_t]`` and ``W_t [d, h_t]``.

    ``<D_s W_sᵀ, D_t W_tᵀ>`` is the sum over all entries of ``(D_sᵀD_t) (W_sᵀW_t)``, so with all D side by side, and
    all W, two products of ``(N + d) (Σh)²`` multiplications take the place of T gradients of ``N d`` numbers and their
    ``T² N d``; and one product of width Σh that of their weighted sum, from where one backward descends.

    Args:
        problem: what is differentiated; its graph stays usable.
        border: the representation.
        layers: by started task, the node of its layer.
    """

    def __init__(self, problem: Problem, border: GradientEdge, layers: list[Node]) -> None:
        self._problem, self._border = problem, border
        started = problem.objectives.started()
        own = [leaf for task, _ in started for leaf in problem.own[task]]
        roots = problem.objectives.roots([1.0] * len(problem.objectives.names))
        found = pull(*roots, [*own, *(GradientEdge(layer, 0) for layer in layers)], keep=True)
        self.heads = [()] * len(problem.objectives.names)
        start = 0
        for task, _ in started:
            end = start + len(problem.own[task])
            self.heads[task], start = found[start:end], end
        gradients = [g for g in found[start:] if g is not None]
        saved: list[Any] = list(layers)
        widths = [gradient.shape[1] for gradient in gradients]
        self._task = torch.tensor([task for task, _ in started]).repeat_interleave(torch.tensor(widths))
        self._outer, self._inner = torch.cat(gradients, 1), torch.cat([node._saved_mat2 for node in saved], 1)

    @torch.no_grad()
    def gramian(self) -> Tensor:
        outer, inner = self._outer.float(), self._inner.float()
        entries = (outer.T @ outer).double() * (inner.T @ inner).double()
        count = len(self._problem.objectives.names)
        rows = entries.new_zeros(count, len(entries)).index_add_(0, self._task, entries)
        return entries.new_zeros(count, count).index_add_(0, self._task, rows.T)

    @torch.no_grad()
    def direction(self, weights: Tensor) -> list[Tensor | None]:
        scale = weights.to(self._outer)[self._task]
        entering = torch.where(scale == 0, 0, self._outer * scale) @ self._inner.T
        return list(pull([self._border], [entering], self._problem.shared, keep=self._problem.keep))


def linear_heads(problem: Problem) -> LinearHeads | None:
    """Return the derivatives if every head is of this kind and narrow, and they read one tensor; else ``None``."""
    graph, started = problem.graph, problem.objectives.started()
    crossings = [graph.crossings[task] for task, _ in started]
    if any(len(found) != 1 for found in crossings) or problem.shared[0].device.type != "cpu":
        return None
    layers, places, edges = zip(*(found[0] for found in crossings), strict=True)
    if len(set(edges)) > 1 or leaf_of(edges[0].node) is not None or not all(map(_reads, layers, places)):
        return None
    if any(graph.holder(tensor) not in (COMMON, None) for tensor in problem.shared):
        return None  # a head uses a shared parameter by itself
    representation = edges[0].node._input_metadata[edges[0].output_nr]
    if representation.dtype.is_complex:
        return None
    rows, width = (int(size) for size in representation.shape)
    total = sum(int(layer._input_metadata[0].shape[1]) for layer in layers)
    if total**2 * (rows + width) > len(layers) ** 2 * rows * width:
        return None
    found = LinearHeads(problem, edges[0], list(layers))
    return found if _in_range(found.gramian(), problem.objectives.active) else None


def _reads(layer: Node, place: int) -> bool:
    """Whether ``layer`` multiplies what it reads at ``place``, rows of numbers, by a weight."""
    return linear_weight(layer) is not None and place == (layer.name() == "AddmmBackward0")


def _in_range(gramian: Tensor, active: Tensor) -> bool:
    squares = gramian.diagonal()[active]
    return bool(((squares > 1e-20) & squares.isfinite()).all())
