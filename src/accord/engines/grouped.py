"""All tasks in one backward, when every sample belongs to one task."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._deferred import Deferred
from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._graph import leaf_of
from accord.engines._grouped_rules import by_task, masked
from accord.engines._layers import Layer, LayeredRows
from accord.engines._layout import trace
from accord.engines._products import Sums, products
from accord.engines._rules import linear_weight
from accord.engines._samples import assign
from accord.engines._split import Split, split
from accord.engines._sweep import Sweep, call, positions
from accord.engines.loop import dense
from accord.errors import ConfigurationError

_ALL = -1  # stands for a gradient that carries every task's samples
_BUDGET = 2**30


class Grouped(Engine):
    """One backward whose rows belong to different tasks; parameters sum each task's rows apart.

    With several data sets or domains, or labels missing so that each row has one, the tasks' gradients never touch
    the same sample. Operations that treat samples apart keep them so: one gradient carries all tasks down, and at each
    layer the weight's gradients are one product per task over that task's rows, which together cost what one product
    over all rows costs. Which sample belongs to which task is read off the gradients that leave the heads.

    Exact. Refuses, by name, samples of two tasks and operations that mix samples (batch normalisation) or are not known
    not to. Hooks on tensors inside the model do not act on the Gramian.

    Weights of linear layers cost neither T·P numbers nor a second backward: their inputs and output gradients are kept,
    the Gramian is taken between samples or between tasks, whichever is less, and one more product descends.

    Cost: all heads once, one backward, one product per linear layer, and T numbers for each other parameter; where T·P
    exceeds 1 GiB, these are dropped one by one, and a backward of the weighted losses descends instead.
    """

    name = "grouped"

    def differentiate(self, problem: Problem) -> Derivatives:
        parts = split(replace(problem, keep=True))
        run = _Run(problem, parts)
        run.finish()
        if run.kept is None:
            return Deferred(problem, run.sums.each.sum(0), parts.heads, run.sums.each)
        return LayeredRows(problem.shared, run.kept, parts.heads, problem.objectives.active, problem.groups)


class _Run:
    def __init__(self, problem: Problem, parts: Split) -> None:
        objectives = problem.objectives
        self.count = len(objectives.names)
        self.shared, self.problem, self.direct = positions(problem), problem, parts.direct
        self.samples, merged = assign(parts, objectives.names)
        self.sweep = Sweep(parts.border, self.shared)
        self.layout: dict[Node, int] = {}
        self.met: set[int] = set()
        self.sums = Sums(self.count, problem.groups, objectives.values.device)
        size = self.count * sum(p.numel() * p.element_size() for p in problem.shared)
        rows: list[Tensor | Layer | None] = [None] * len(problem.shared)
        self.kept = rows if size <= _BUDGET else None
        for edge, gradient in zip(parts.border, merged, strict=True):
            self.layout[edge.node] = 1
            self.sweep.add(edge.node, edge.output_nr, _ALL, gradient)

    @torch.no_grad()
    def finish(self) -> None:
        for node, arrived in self.sweep.nodes():
            merged = arrived.pop(_ALL, None)
            for _, position in self.shared.get(node, ()):
                if merged is not None:
                    raise ConfigurationError(_no_parameter(self.problem.shared[position]))
                if position not in self.met:
                    self._meet(position, {task: outputs[0] for task, outputs in arrived.items()})
            if leaf_of(node) is not None:
                continue
            for task, outputs in arrived.items():
                self.sweep.send(node, task, outputs)
            if merged is not None:
                self._descend(node, merged)
        for position in set(range(len(self.problem.shared))) - self.met:
            self._meet(position, {})

    def _meet(self, position: int, found: dict[int, Tensor | None]) -> None:
        """Take a parameter's gradients by task, those that came straight from a head included."""
        self.met.add(position)
        like, rows = self.problem.shared[position], None
        for gradients in (found, {task: row[position] for task, row in enumerate(self.direct)}):
            for task, gradient in gradients.items():
                if gradient is not None:
                    rows = like.new_zeros(self.count, like.numel()) if rows is None else rows
                    rows[task] += dense(gradient).reshape(-1)
        if self.kept is not None:
            self.kept[position] = rows
        elif rows is not None:
            self.sums.add(position, products([rows], self.problem.objectives.active))

    def _descend(self, node: Node, outputs: list[Tensor | None]) -> None:
        layouts = trace(node, self.layout[node], len(self.samples.task))
        below = self.sweep.below[node]
        wanted = [child is not None and child in self.sweep.uses for child, _ in below]
        holds = [i for i, layout in enumerate(layouts) if layout is not None and wanted[i]]
        owned = [i for i, layout in enumerate(layouts) if layout is None and wanted[i]]
        linear = linear_weight(node)
        if owned and linear is not None:
            owned = [i for i in owned if i != linear[2] or not self._layer(node, outputs[0], *linear)]
        if owned:
            self._parameters(node, outputs, owned)
        if holds:
            found = None if linear is None else _linear_input(node, outputs)
            found = call(node, outputs) if found is None else found
            for i in holds:
                child, port = below[i]
                if child is not None:
                    self._place(child, layouts[i] or 1)
                    self.sweep.add(child, port, _ALL, found[i])

    def _layer(self, node: Node, gradient: Tensor | None, inputs: Tensor, weight: Node, _: int) -> bool:
        """Keep a linear layer in place of its weight's gradients, if they come from nowhere else; say whether."""
        upright = weight.name() == "TBackward0" and self.sweep.uses.get(weight) == 1
        leaf = self.sweep.below[weight][0][0] if upright else weight
        if gradient is None or leaf is None or leaf_of(leaf) is None or self.sweep.uses.get(leaf) != 1:
            return False
        position = self.shared[leaf][0][1]
        if any(row[position] is not None for row in self.direct):
            return False
        task = self.samples.of(tuple(gradient.shape), self.layout[node])
        layer = Layer(inputs, gradient, task, self.samples, upright)
        self.met.add(position)
        if self.kept is not None:
            self.kept[position] = layer
        else:
            self.sums.add(position, layer.gramian())
        return True

    def _place(self, child: Node, layout: int) -> None:
        if self.layout.setdefault(child, layout) != layout:
            raise ConfigurationError(
                f'{child.name()} is reached with its samples in two orders; use engine="gramian" or engine="loop"'
            )

    def _parameters(self, node: Node, outputs: list[Tensor | None], owned: list[int]) -> None:
        gradient, layout = outputs[0], self.layout[node]
        if gradient is None:
            return
        found = by_task(node, gradient, layout, self.samples, owned)
        below = self.sweep.below[node]
        if found is None:
            for task, part in enumerate(masked(gradient, layout, self.samples)):
                results = call(node, [part, *outputs[1:]])
                for i in owned:
                    self.sweep.add(below[i][0], below[i][1], task, results[i])  # pyright: ignore[reportArgumentType]
            return
        for i in owned:
            for task, part in enumerate(found[i]):
                self.sweep.add(below[i][0], below[i][1], task, part)  # pyright: ignore[reportArgumentType]


def _linear_input(node: Node, outputs: list[Tensor | None]) -> list[Tensor | None] | None:
    """Return the gradient of a linear layer's input alone: calling the node would form its weight's once more."""
    gradient = outputs[0]
    if gradient is None:
        return None
    through = gradient @ node._saved_mat2.T  # pyright: ignore[reportAttributeAccessIssue]
    return [None, through, None] if node.name() == "AddmmBackward0" else [through, None]


def _no_parameter(tensor: Tensor) -> str:
    return (
        f"a shared tensor of shape {list(tensor.shape)} has one part per sample, so it is no parameter that all "
        'samples use; use engine="gramian" or engine="loop"'
    )
