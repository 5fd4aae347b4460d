"""All tasks in one backward, when every sample belongs to one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._claims import assign
from accord.engines._convolutions import differentiate
from accord.engines._deferred import Deferred
from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._graph import leaf_of
from accord.engines._grouped_rules import APART, by_task, masked
from accord.engines._hooks import refuse_hooks
from accord.engines._layer_rules import layer_of
from accord.engines._layered import Block, LayeredRows
from accord.engines._layout import ELEMENTWISE, INSTEAD, kind, trace
from accord.engines._products import Sums, products
from accord.engines._rules import through_linear
from accord.engines._samples import Rows
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

    Exact. Refuses, by name, samples of two tasks and operations that mix samples (batch normalisation in training mode;
    freeze its statistics, or normalise in groups) or are not known not to; hooks on shared parameters, too. Those on
    tensors inside the trunk do not act. A vector of losses, one per sample, is the case in which every sample is a task
    (instance-wise risk minimisation; Quinton and Rey, Jacobian descent for multi-objective optimisation, 2024).

    Weights of linear layers, convolutions and embedding tables are held as what the layer read and the gradient of what
    it gave. By a cost model of their sizes, their Gramian is taken between samples, and one more product descends, or
    between tasks, whose gradients are kept for the update while they fit into 1 GiB.

    Cost: all heads once, one backward, the products above, and T numbers for each other parameter. Where these exceed
    1 GiB, they are dropped one by one, and a backward of the weighted losses descends instead. Where each sample has
    many places (tokens) and T nears the batch, ``T²·P`` multiplications between tasks weigh most.
    """

    name = "grouped"

    def differentiate(self, problem: Problem) -> Derivatives:
        refuse_hooks(self.name, problem.shared)
        parts = split(replace(problem, keep=True), picks=True)
        run = _Run(problem, parts)
        run.finish()
        if not run.whole:
            return Deferred(problem, run.sums.each.sum(0), parts.heads, run.sums.each)
        return LayeredRows(problem.shared, run.blocks, parts.heads, run.sums.each, problem.groups)


class _Run:
    def __init__(self, problem: Problem, parts: Split) -> None:
        objectives = problem.objectives
        self.count = len(objectives.names)
        self.shared, self.problem, self.direct = positions(problem), problem, parts.direct
        self.samples, merged = assign(parts, objectives.names)
        self.sweep = Sweep((edge for edge, _ in merged), self.shared)
        self.layout: dict[Node, int] = {}
        self.sums = Sums(self.count, problem.groups, objectives.values.device)
        self.room = _BUDGET
        self.blocks: list[Block] = [None] * len(problem.shared)
        self.stacks: dict[int, Tensor] = {}
        self.whole = True  # whether every parameter's gradients by task are still there
        self.met: set[int] = set()
        for edge, gradient in merged:
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
                self._descend(node, merged, alone=not arrived)
        for position in set(range(len(self.problem.shared))) - self.met:
            self._meet(position, {})
        self._multiply()

    def _meet(self, position: int, found: dict[int, Tensor | None]) -> None:
        """Take a parameter's gradients by task, those that came straight from a head included."""
        self.met.add(position)
        like, rows = self.problem.shared[position], self.stacks.pop(position, None)
        for gradients in (found, {task: row[position] for task, row in enumerate(self.direct)}):
            for task, gradient in gradients.items():
                if gradient is not None:
                    rows = like.new_zeros(self.count, like.numel()) if rows is None else rows
                    rows[task] += dense(gradient).reshape(-1)
        if rows is None:
            return
        size = rows.numel() * rows.element_size()
        if size > self.room:
            self.whole = False
            self.sums.add(position, products([rows], self.problem.objectives.active))
        else:
            self.room -= size
            self.blocks[position] = rows

    def _multiply(self) -> None:
        """Add the products of the gradients that were kept; all of a group's at once, since each is small."""
        groups = self.problem.groups or (range(len(self.blocks)),)
        for group in groups:
            rows = [block for i in group if isinstance(block := self.blocks[i], Tensor)]
            if rows:
                self.sums.add(group[0], products(rows, self.problem.objectives.active))

    def _descend(self, node: Node, outputs: list[Tensor | None], *, alone: bool) -> None:
        """Pass on a gradient that carries all tasks; ``alone`` where no task's own arrived at ``node`` beside it."""
        layouts = trace(node, self.layout[node], len(self.samples.task))
        below = self.sweep.below[node]
        wanted = [child is not None and child in self.sweep.uses for child, _ in below]
        holds = [i for i, layout in enumerate(layouts) if layout is not None and wanted[i]]
        owned = [i for i, layout in enumerate(layouts) if layout is None and wanted[i]]
        if holds and kind(node) == "Select":
            child, _ = below[0]
            assert child is not None
            self._place(child, layouts[0] or 1)
            self.sweep.send(node, _ALL, outputs)
            return
        first = bool(owned) and (kind(node) in ELEMENTWISE or kind(node) in APART)
        found = _through(node, outputs, apart=bool(owned)) if holds or first else ()
        if owned:
            self._parameters(node, outputs, owned, found if first else (), alone)
        for i in holds:
            child, port = below[i]
            if child is not None:
                self._place(child, layouts[i] or 1)
                self.sweep.add(child, port, _ALL, found[i])

    def _place(self, child: Node, layout: int) -> None:
        if self.layout.setdefault(child, layout) != layout:
            raise ConfigurationError(f"{child.name()} is reached with its samples in two orders: {INSTEAD}")

    def _parameters(
        self, node: Node, outputs: list[Tensor | None], owned: list[int], raw: Sequence[Tensor | None], alone: bool
    ) -> None:
        """Take the gradients by task of the inputs ``owned`` of ``node`` in the cheapest way known for each."""
        gradient, layout = outputs[0], self.layout[node]
        if gradient is None:
            return
        tasks = self.samples.of(tuple(gradient.shape), layout)
        # What a task alone sent here, past a mean over the batch say, is part of a weight's gradient too.
        rest = [i for i in owned if not (alone and self._hold(node, i, gradient, tasks))]
        found = by_task(node, gradient, layout, self.samples, rest, raw) if rest else {}
        for i in rest:
            if i in found:
                self._deposit(*self.sweep.below[node][i], found[i])
        unknown = [i for i in rest if i not in found]
        if unknown:
            for task, part in enumerate(masked(gradient, layout, self.samples)):
                results = call(node, [part, *outputs[1:]])
                for i in unknown:
                    self.sweep.add(*self.sweep.below[node][i], task, results[i])  # pyright: ignore[reportArgumentType]

    def _hold(self, node: Node, i: int, gradient: Tensor, tasks: Rows) -> bool:
        """Keep a layer in place of its weight's gradients, if they come from nowhere else; say whether."""
        position, upright = self._leaf(self.sweep.below[node][i][0])
        if position is None or any(row[position] is not None for row in self.direct):
            return False
        layer = layer_of(node, i, gradient, tasks, upright, self.room)
        if layer is None:
            return False
        self.met.add(position)
        self.sums.add(position, layer.gramian())
        self.room -= layer.held()
        self.blocks[position] = layer
        return True

    def _leaf(self, node: Node | None) -> tuple[int | None, bool]:
        """Return which shared parameter is only used here, as it is or transposed; ``None`` for others."""
        upright = node is not None and node.name() == "TBackward0" and self.sweep.uses.get(node) == 1
        leaf = self.sweep.below[node][0][0] if upright and node is not None else node
        if leaf is None or leaf_of(leaf) is None or self.sweep.uses.get(leaf) != 1:
            return None, upright
        return self.shared[leaf][0][1], upright

    def _deposit(self, child: Node | None, port: int, rows: Tensor) -> None:
        """Add ``rows`` ``[T, ...]`` to a parameter's gradients, or send them on one by one where it is no leaf."""
        if child is not None and leaf_of(child) is not None and child in self.shared:
            position = self.shared[child][0][1]
            like, before = self.problem.shared[position], self.stacks.get(position)
            flat = rows.reshape(self.count, -1).to(like.dtype)
            self.stacks[position] = flat if before is None else before + flat
            return
        for task, part in enumerate(rows):
            if self.samples.sizes[task]:
                self.sweep.add(child, port, task, part)  # pyright: ignore[reportArgumentType]


def _through(node: Node, outputs: list[Tensor | None], apart: bool) -> Sequence[Tensor | None]:
    """Return the gradients of what a node read; of a weight beside it, calling the node would form its own in vain.

    With ``apart``, those of the parameters of a node in ``APART`` are as its entry there says.
    """
    gradient, name = outputs[0], node.name()
    if gradient is not None and apart and kind(node) in APART:
        return APART[kind(node)](node, gradient)
    if gradient is not None and name in ("AddmmBackward0", "MmBackward0"):
        through = through_linear(node, gradient)
        return [None, through, None] if name == "AddmmBackward0" else [through, None]
    if gradient is not None and name == "ConvolutionBackward0":
        inputs = node._saved_input  # pyright: ignore[reportAttributeAccessIssue]
        return differentiate(node, inputs, gradient, [True, False, False])
    return call(node, outputs)


def _no_parameter(tensor: Tensor) -> str:
    return (
        f"a shared tensor of shape {list(tensor.shape)} has one part per sample, so it is no parameter that all "
        f"samples use: {INSTEAD}"
    )
