"""An unbiased estimate of the Gramian without the gradients of wide layers."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._deferred import Deferred
from accord.engines._engine import Engine, Problem
from accord.engines._hooks import refuse_hooks
from accord.engines._narrow import Passage
from accord.engines._products import Sums, products
from accord.engines._projection import Convolution, Projection, project_convolution, project_rows
from accord.engines._sweep import Sweep, owners, positions
from accord.engines._together import Arrived, Together, firsts
from accord.engines.layerwise import embedding_table, pass_linear, weight_of
from accord.errors import ConfigurationError


class Sketch(Engine):
    """Weights of linear and convolution layers are compared through a random projection of what the layer read.

    Such a layer's gradient for task t is ``XᵀD_t``, with its inputs ``X [N, in]`` (patches, for a convolution) and the
    gradients ``D_t [N, out]`` of its outputs. Forming it is half of a backward; passing ``D_t`` down is the other. Here
    ``(XR)ᵀD_t`` takes its place, with one ``R [in, k]`` for all tasks, ``XR`` computed once, and everything else as in
    :class:`~accord.engines.LayerwiseGramian`: exact. The update is exact for the weights found.

    **Unbiased**: with orthonormal ``U [in, q]`` and a uniformly random orthonormal basis ``V [in, k-q]`` of a random
    subspace of the rest, ``R = [U, V √((in-q)/(k-q))]``. By symmetry ``E[VVᵀ]`` is a multiple of the projection on the
    rest, the trace makes it ``(k-q)/(in-q) (I-UUᵀ)``, and so ``E[RRᵀ] = UUᵀ + (I-UUᵀ) = I`` for every ``U``, and
    ``E[D_sᵀX RRᵀ XᵀD_t] = D_sᵀXXᵀD_t``. ``U`` spans the directions in which X is largest, found from random
    combinations of its rows that are drawn apart from ``V``. The estimate is a Gramian, hence never indefinite.

    **Error**: an entry's standard error is at most ``√(2/(k-q)) √(sum over layers of |A_s|²|A_t|²)`` where ``A`` is the
    part of a layer's gradient outside ``U``, so at most ``√(2/(k-q)) |g_s||g_t|`` (what a Gaussian ``V`` would have
    with all of the gradient in one direction outside ``U``); it falls as ``1/√k`` and is 0 from ``k = in`` on. A
    factor that all entries have in common, which most of it is, leaves the balancers' weights alone.

    Every step of an engine object draws another projection; ``engine="sketch"`` makes a new object each time and so
    keeps one. Draws depend on ``seed``, the step and the layer, and on nothing else.

    **On the way down** large products of gradients with the weights of linear and convolution layers are taken in
    bfloat16 on processors that multiply it, up to several times as fast: some 0.3 % of a gradient's length, beside
    which the error above is large. ``dtype=torch.float32`` gives that up for results that other processors repeat.

    Args:
        size: k, at least 2. Layers that read no more numbers than this are exact.
        seed: of the projections, not negative.
        dtype: of large products on the way down, for float32 models: ``torch.bfloat16`` or ``torch.float32``; the
            former where the CPU multiplies it (AMX, AVX-512 BF16), else the latter, when left out.

    Cost: T halves of a backward, ``N k (in + T out)`` multiplications per layer, and one ordinary backward of the
    weighted losses. On the CPU it pays for wide linear layers from about 8 tasks on, little for narrow convolutions.
    Memory: XR, and T rows of ``k out`` numbers per such layer, of all numbers for other parameters; with bfloat16, half
    a copy of the large weights.

    Sources: Johnson & Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984; Halko et al.,
    "Finding structure with randomness", 2011 (U); Meyer et al., "Hutch++", 2021 (the split into U and V).
    """

    name = "sketch"

    def __init__(self, size: int = 32, seed: int = 0, dtype: torch.dtype | None = None) -> None:
        if size < 2:
            raise ConfigurationError(f"size is {size}; a sketch keeps at least 2 numbers of what each layer reads")
        if seed < 0:
            raise ConfigurationError(f"seed is {seed}; it must not be negative")
        if dtype not in (None, torch.bfloat16, torch.float32):
            raise ConfigurationError(f"dtype is {dtype}; gradients descend in torch.bfloat16 or torch.float32")
        self.size, self.seed, self.dtype, self.step = size, seed, dtype, 0

    def differentiate(self, problem: Problem) -> Deferred:
        refuse_hooks(self.name, [*problem.shared, *chain(*problem.own)])
        projected = _Projected(Projection(self.size, self.seed, self.step), Passage(self.dtype))
        self.step += 1
        count, heads = len(problem.objectives.names), list[tuple[Tensor | None, ...]]()
        kept: dict[int, Tensor] = {}

        def keep(position: int, tasks: list[int], rows: Tensor) -> None:
            # Values per parameter differ by what was projected, not by task: all tasks share a layer's projection.
            if position not in kept:
                kept[position] = rows.new_zeros(count, rows.shape[1])
            kept[position][tasks] = rows

        started = problem.objectives.started()
        whole = Sweep((edge for _, edge in started), [*positions(problem), *owners(problem)])
        for task in range(count):
            # One by one: a gradient stays in the processor's cache from layer to layer.
            run = Together(problem, (embedding_table, projected.linear, projected.convolution), keep, [task], whole)
            run.finish()
            heads.append(tuple(run.heads[task]))
        sums = Sums(count, problem.groups, problem.objectives.values.device)
        for position, rows in kept.items():
            sums.add(position, products([rows], problem.objectives.active))
        return Deferred(problem, sums.each.sum(0), heads, sums.each)

    def __repr__(self) -> str:
        return f"Sketch(size={self.size}, seed={self.seed})"


class _Projected:
    """Ways through layers whose inputs are projected, once for all tasks."""

    def __init__(self, projection: Projection, passage: Passage) -> None:
        self._projection, self._passage = projection, passage
        self._short: dict[Node, Tensor] = {}

    def linear(self, run: Together, node: Node, arrived: Arrived) -> bool:
        layer = weight_of(run, node)
        if layer is None:
            return False
        inputs, position = layer
        if node not in self._short:
            self._short[node] = project_rows(inputs, self._projection, position)
        products = [(self._short[node].T @ gradient).flatten() for gradient in firsts(arrived)]
        run.meet(position, list(arrived), torch.stack(products))
        pass_linear(run, node, arrived, self._passage.linear)
        return True

    def convolution(self, run: Together, node: Node, arrived: Arrived) -> bool:
        layer = Convolution.of(node)
        position = None if layer is None else run.alone(node.next_functions[1][0])
        if layer is None or position is None or layer.patch <= self._projection.size:
            return False
        if node not in self._short:
            self._short[node] = project_convolution(layer, self._projection, position).flatten(2)
        products = [torch.bmm(self._short[node], gradient.flatten(2).mT).sum(0) for gradient in firsts(arrived)]
        run.meet(position, list(arrived), torch.stack(products).flatten(1))
        (below, port), _, (bias, place) = run.sweep.below[node]
        for task, gradient in zip(arrived, firsts(arrived), strict=True):
            if bias is not None and bias in run.sweep.uses:
                run.sweep.add(bias, place, task, gradient.flatten(2).sum((0, 2)))
            if below is not None and below in run.sweep.uses:
                run.sweep.add(below, port, task, self._passage.convolution(node, layer, gradient))
        return True
