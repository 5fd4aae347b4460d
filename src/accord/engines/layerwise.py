"""The exact Gramian, layer by layer, in memory that grows with neither T·P nor the number of layers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._deferred import Deferred
from accord.engines._engine import Engine, Problem
from accord.engines._products import products, wide
from accord.engines._rules import embedding, linear, linear_weight, sampled_is_cheaper
from accord.engines._sweep import Grads, Sweep, owners, positions
from accord.engines.loop import dense


class LayerwiseGramian(Engine):
    """All tasks descend the graph together; at each parameter their gradients meet, are multiplied, and are dropped.

    So no more than one parameter's T gradients exist at a time. For the weight of a linear layer even these are not
    formed when inner products between samples are cheaper (few samples, few tasks, wide layers), and of an embedding
    table only the rows that were looked up are. Everything else, tied parameters included, takes the general way, which
    is as exact.

    Hooks on tensors inside the model do not act on the Gramian (they do on the update, which is an ordinary backward),
    and non-reentrant checkpoints are recomputed for every operation in them: use :class:`~accord.engines.Loop` there.

    Cost: at most T backwards, T²·P, and one ordinary backward of the weighted losses. Memory: T gradients of the
    largest parameter and T times the gradients at one cut through the graph.
    """

    name = "gramian"

    def differentiate(self, problem: Problem) -> Deferred:
        run = _Run(problem)
        run.finish()
        return Deferred(problem, run.gramian, [tuple(own) for own in run.heads])


class _Run:
    def __init__(self, problem: Problem) -> None:
        count = len(problem.objectives.names)
        started = problem.objectives.started()
        self.shared = positions(problem)
        self.owners = owners(problem)
        self.sweep = Sweep((edge for _, edge in started), [*self.shared, *self.owners])
        device = wide(problem.objectives.values.device)
        self.gramian = torch.zeros(count, count, dtype=torch.float64, device=device)
        self.heads: list[Grads] = [[None] * len(own) for own in problem.own]
        for task, edge in started:
            self.sweep.add(edge.node, edge.output_nr, task, problem.objectives.cotangent(edge))

    @torch.no_grad()
    def finish(self) -> None:
        for node, arrived in self.sweep.nodes():
            if not arrived:
                continue
            self._meet(node, arrived)
            if node in self.owners:
                task, place = self.owners[node]
                self.heads[task][place] = arrived[task][0]
            elif self.sweep.below[node] and not self._shortcut(node, arrived):
                for task, outputs in arrived.items():
                    self.sweep.send(node, task, outputs)

    def _meet(self, node: Node, arrived: dict[int, Grads]) -> None:
        """Multiply the gradients of the shared tensors that ``node`` computes or accumulates."""
        for port, _ in self.shared.get(node, ()):
            found = {task: gradient for task, outputs in arrived.items() if (gradient := outputs[port]) is not None}
            if found:
                rows = torch.stack([dense(gradient).reshape(-1) for gradient in found.values()])
                self._add(list(found), products([rows], torch.ones(len(rows), dtype=torch.bool, device=rows.device)))

    def _add(self, tasks: list[int], block: Tensor) -> None:
        where = torch.tensor(tasks, device=self.gramian.device)
        self.gramian[where[:, None], where] += block.to(self.gramian.device)

    def _shortcut(self, node: Node, arrived: dict[int, Grads]) -> bool:
        """Deal with ``node`` by a rule of its own and return whether there was one."""
        tasks, gradients = list(arrived), [outputs[0] for outputs in arrived.values()]
        present = [gradient for gradient in gradients if gradient is not None]
        if len(present) < len(gradients):
            return False
        return self._embedding(node, tasks, present) or self._linear(node, tasks, present)

    def _embedding(self, node: Node, tasks: list[int], gradients: list[Tensor]) -> bool:
        if len(self.sweep.below[node]) != 1 or not self._alone(self.sweep.below[node][0][0]):
            return False
        block = embedding(node, gradients)
        if block is None:
            return False
        self._add(tasks, block)
        return True

    def _linear(self, node: Node, tasks: list[int], gradients: list[Tensor]) -> bool:
        layer = linear_weight(node)
        if layer is None or gradients[0].ndim != 2:
            return False
        rows, weight, place = layer
        inner = self.sweep.below.get(weight, ())
        alone = self._alone(weight) or (
            weight.name() == "TBackward0" and self.sweep.uses.get(weight) == 1 and self._alone(inner[0][0])
        )
        if not alone or not sampled_is_cheaper(len(rows), rows.shape[1], gradients[0].shape[1], len(tasks)):
            return False
        block = linear(rows, gradients)
        squares = block.diagonal()
        if not bool(((squares > 1e-20) & squares.isfinite()).all()):
            return False  # out of float32's range, or zero: the general way rescales
        self._add(tasks, block)
        self._pass_linear(node, place, tasks, gradients)
        return True

    def _alone(self, node: Node | None) -> bool:
        """Whether ``node`` accumulates a shared parameter's gradient and this is its only source."""
        return node in self.shared and self.sweep.uses.get(node) == 1 and not self.sweep.below[node]

    def _pass_linear(self, node: Node, place: int, tasks: list[int], gradients: list[Tensor]) -> None:
        below = self.sweep.below[node]
        for task, gradient in zip(tasks, gradients, strict=True):
            bias, child = below[0] if place == 2 else (None, 0), below[place - 1]
            if bias[0] is not None:
                self.sweep.add(bias[0], bias[1], task, gradient)
            if child[0] is not None:
                matrix = node._saved_mat2  # pyright: ignore[reportAttributeAccessIssue]
                self.sweep.add(child[0], child[1], task, gradient @ matrix.T)
