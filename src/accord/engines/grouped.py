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
from accord.engines._layout import trace
from accord.engines._products import products, wide
from accord.engines._rows import Rows
from accord.engines._samples import Samples, assign
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

    Cost: all heads once, one backward and T·P numbers; above 1 GiB of these, they are dropped layer by layer, and one
    more backward of the weighted losses descends.
    """

    name = "grouped"

    def differentiate(self, problem: Problem) -> Derivatives:
        parts = split(replace(problem, keep=True))
        run = _Run(problem, parts)
        run.finish()
        if run.kept is None:
            return Deferred(problem, run.gramian, parts.heads)
        return Rows(problem.shared, run.kept, parts.heads, problem.objectives.active)


class _Run:
    def __init__(self, problem: Problem, parts: Split) -> None:
        objectives = problem.objectives
        self.count = len(objectives.names)
        self.shared, self.problem, self.direct = positions(problem), problem, parts.direct
        self.samples: Samples = assign(parts, objectives.names)
        self.sweep = Sweep(parts.border, self.shared)
        self.layout: dict[Node, int] = {}
        device = wide(objectives.values.device)
        self.gramian = torch.zeros(self.count, self.count, dtype=torch.float64, device=device)
        size = self.count * sum(p.numel() * p.element_size() for p in problem.shared)
        rows: list[Tensor | None] = [None] * len(problem.shared)
        self.kept = rows if size <= _BUDGET else None
        for u, edge in enumerate(parts.border):
            self.layout[edge.node] = 1
            for cotangents in parts.cotangents:
                self.sweep.add(edge.node, edge.output_nr, _ALL, cotangents[u])

    def finish(self) -> None:
        met: set[int] = set()
        for node, arrived in self.sweep.nodes():
            merged = arrived.pop(_ALL, None)
            for _, position in self.shared.get(node, ()):
                if merged is not None:
                    raise ConfigurationError(_no_parameter(self.problem.shared[position]))
                met.add(position)
                self._meet(position, {task: outputs[0] for task, outputs in arrived.items()})
            if leaf_of(node) is not None:
                continue
            for task, outputs in arrived.items():
                self.sweep.send(node, task, outputs)
            if merged is not None:
                self._descend(node, merged)
        for position in set(range(len(self.problem.shared))) - met:
            self._meet(position, {})

    def _meet(self, position: int, found: dict[int, Tensor | None]) -> None:
        """Take a parameter's gradients by task, those that came straight from a head included."""
        like, rows = self.problem.shared[position], None
        for gradients in (found, {task: row[position] for task, row in enumerate(self.direct)}):
            for task, gradient in gradients.items():
                if gradient is not None:
                    rows = like.new_zeros(self.count, like.numel()) if rows is None else rows
                    rows[task] += dense(gradient).reshape(-1)
        if self.kept is not None:
            self.kept[position] = rows
        elif rows is not None:
            self.gramian += products([rows], self.problem.objectives.active).to(self.gramian)

    def _descend(self, node: Node, outputs: list[Tensor | None]) -> None:
        layouts = trace(node, self.layout[node], len(self.samples.task))
        below = self.sweep.below[node]
        wanted = [child is not None and child in self.sweep.uses for child, _ in below]
        holds = [i for i, layout in enumerate(layouts) if layout is not None and wanted[i]]
        owned = [i for i, layout in enumerate(layouts) if layout is None and wanted[i]]
        if owned:
            self._parameters(node, outputs, owned)
        if holds:
            found = _linear_input(node, outputs) if owned else None
            found = call(node, outputs) if found is None else found
            for i in holds:
                child, port = below[i]
                if child is not None:
                    self._place(child, layouts[i] or 1)
                    self.sweep.add(child, port, _ALL, found[i])

    def _place(self, child: Node, layout: int) -> None:
        if self.layout.setdefault(child, layout) != layout:
            raise ConfigurationError(
                f'{child.name()} is reached with its samples in two orders; use engine="gramian" or engine="loop"'
            )

    def _parameters(self, node: Node, outputs: list[Tensor | None], owned: list[int]) -> None:
        gradient, layout = outputs[0], self.layout[node]
        if gradient is None:
            return
        found = by_task(node, gradient, layout, self.samples)
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
    gradient, name = outputs[0], node.name()
    if gradient is None or name not in ("AddmmBackward0", "MmBackward0"):
        return None
    through = gradient @ node._saved_mat2.T  # pyright: ignore[reportAttributeAccessIssue]
    return [None, through, None] if name == "AddmmBackward0" else [through, None]


def _no_parameter(tensor: Tensor) -> str:
    return (
        f"a shared tensor of shape {list(tensor.shape)} has one part per sample, so it is no parameter that all "
        'samples use; use engine="gramian" or engine="loop"'
    )
