"""Sharpness-aware minimisation per task: a common descent into a region that is flat for every task."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.aggregation import Mean
from accord.balancer import Aggregator, HeadWeights
from accord.engines import Step
from accord.engines._processes import check_single
from accord.engines._shared import read_parameters
from accord.errors import ConfigurationError, NonFiniteLossWarning
from accord.method import Method
from accord.steps._replay import Replay

Losses = Tensor | Sequence[Tensor | None] | Mapping[str, Tensor | None]
Gradients = tuple[Tensor | None, ...]


class FlatRegions(nn.Module):
    """Descend on every task's loss and on its sharpness, each combined over tasks by the aggregator of your choice.

    For each task ``i``, shared and other parameters are moved to where its loss is worst nearby, ``rho`` along its own
    gradient ``g_i`` (in each of the two sets by itself), and the gradient ``s_i`` is taken there. The shared
    parameters receive ``A(g_1, ..) + A(s_1 - g_1, ..)``: the part that lowers the losses and the part that leads to
    flatter regions are aggregated apart, so that neither cancels the other. The others receive ``s_i``, averaged::

        flat = FlatRegions(accord.aggregation.UPGrad())
        flat.backward(lambda: losses_of(model, batch), model, shared=trunk.parameters())
        optimiser.step()

    The passes of a step draw the same random numbers, dropout masks among them, and only the first one moves buffers
    such as running statistics. Weights are put back bit for bit, also when the closure fails.

    Cost: 1 + T forward and 2 T backward passes, 2 T P numbers. State: that of two aggregators, one per part.

    Args:
        aggregator: ``A``; plain averaging if ``None``. The part that leads to flatness gets a copy of its own.
        rho: radius, above 0.
        adaptive: measure distances in units of the weights (``|w|`` per weight), as adaptive SAM does; ``rho`` is then
            about ten times as large.

    Source: Phan et al., Improving Multi-task Learning via Seeking Task-based Flat Regions, 2022 (in print, 2025, as
    Beyond Losses Reweighting: Empowering Multi-Task Learning via the Generalization Perspective), on Foret et al.,
    Sharpness-Aware Minimization, 2021, whose radius 0.05 is the default; the authors' code for CelebA is adaptive with
    radius 2. Some of its aggregators are applied to the sum of both parts, some to each: here to each, as in the paper.
    A task whose loss or gradient is not finite is left out of the step.
    """

    method: ClassVar[Method] = Method(
        title="Task-based flat regions",
        paper="Improving Multi-task Learning via Seeking Task-based Flat Regions",
        year=2022,
        url="https://arxiv.org/abs/2211.13723",
        needs="parameters",
        cost="T + 1 forwards, 2 T backwards",
        catalogue=(69,),
    )

    def __init__(self, aggregator: Aggregator | None = None, rho: float = 0.05, adaptive: bool = False) -> None:
        super().__init__()
        if not 0.0 < rho < math.inf:
            raise ConfigurationError(f"rho must be a finite number above 0, 0.05 for one; got {rho}")
        self.low = Mean() if aggregator is None else aggregator
        self.flat = copy.deepcopy(self.low)
        self.rho = rho
        self.adaptive = adaptive

    def backward(
        self,
        closure: Callable[[], Losses],
        model: nn.Module,
        shared: Iterable[Tensor],
        *,
        tasks: Sequence[str] | None = None,
    ) -> Step:
        """Accumulate the step's gradients into ``.grad``, as :func:`accord.backward` does.

        Args:
            closure: runs the model and returns the losses ``[T]``, the same number and order each time; called
                1 + T times.
            model: holds all parameters that the losses reach.
            shared: those that tasks have in common.
            tasks: all names in order, when the losses are a mapping in which some may be missing.
        """
        check_single("FlatRegions")
        trunk = read_parameters(shared, leaves=True)
        known = {id(parameter) for parameter in trunk}
        own = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        parameters = (*trunk, *own)
        replay = Replay(model)
        losses = _named(closure(), tasks)
        values, skipped = _values(losses)
        plain = _gradients(losses, skipped, parameters)
        sharp: dict[str, Gradients] = {}
        for name, gradient in plain.items():
            shift = [*self._ascent(trunk, gradient[: len(trunk)]), *self._ascent(own, gradient[len(trunk) :])]
            with replay.again(), _moved(parameters, shift):
                sharp |= _gradients({name: _named(closure(), tasks)[name]}, skipped, parameters)
        active = torch.tensor([name in sharp for name in losses], device=values.device)
        low, high = (_rows(list(losses), found, trunk, sharp) for found in (plain, sharp))
        reached = [any(gradients[i] is not None for gradients in sharp.values()) for i in range(len(trunk))]
        direction = self._direction(low, high, values, active).split([p.numel() for p in trunk])
        for parameter, part, hit in zip(trunk, direction, reached, strict=True):
            if hit:
                _add(parameter, part.view_as(parameter))
        self._heads(own, list(sharp.values()), len(trunk), values, active)
        return Step(tuple(losses), values, None, None, active, skipped)

    def _ascent(self, parameters: Sequence[Tensor], gradients: Gradients) -> list[Tensor | None]:
        """Return the step of length ``rho`` along which a loss rises fastest."""
        units = [p.detach().abs() if self.adaptive else torch.ones_like(p) for p in parameters]
        pairs = [(g, u) for g, u in zip(gradients, units, strict=True) if g is not None]
        if not pairs:
            return [None] * len(parameters)
        peak = max(float(g.abs().max()) for g, _ in pairs) or 1.0
        lengths = [torch.linalg.vector_norm(g / peak * u, dtype=torch.float64).cpu() for g, u in pairs]
        length = float(torch.stack(lengths).norm()) or 1.0
        return [
            None if g is None else g / peak * u.square() * (self.rho / length)
            for g, u in zip(gradients, units, strict=True)
        ]

    def _direction(self, low: Tensor, high: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        active = active.to(low.device)
        return self.low(low, losses=losses, active=active) + self.flat(high - low, losses=losses, active=active)

    def _heads(self, own: Sequence[Tensor], sharp: list[Gradients], skip: int, losses: Tensor, active: Tensor) -> None:
        count = 1.0 if self.low.heads == "sum" else 1.0 / max(int(active.sum()), 1)
        factors = torch.full((len(active),), count)
        if isinstance(self.low, HeadWeights):
            factors = self.low.head_weights(losses, active=active)
        for gradients, factor in zip(sharp, factors[active.to(factors.device)].tolist(), strict=True):
            for parameter, gradient in zip(own, gradients[skip:], strict=True):
                if gradient is not None:
                    _add(parameter, gradient * factor)

    def extra_repr(self) -> str:
        return f"rho={self.rho}, adaptive={self.adaptive}"


def _named(losses: Losses, tasks: Sequence[str] | None) -> dict[str, Tensor | None]:
    if isinstance(losses, Mapping):
        return {name: losses.get(name) for name in (losses if tasks is None else tasks)}
    items = list(losses)
    return dict(zip([str(i) for i in range(len(items))] if tasks is None else tasks, items, strict=True))


def _values(losses: Mapping[str, Tensor | None]) -> tuple[Tensor, dict[str, str]]:
    """Return the losses' values ``[T]`` and why some tasks cannot take part."""
    skipped: dict[str, str] = {}
    found: list[Tensor] = []
    for name, loss in losses.items():
        if loss is None or not loss.requires_grad:
            skipped[name] = "it has no loss in this step"
        elif not bool(loss.isfinite()):
            _leave_out(name, skipped, f"its loss is {loss.item()}")
        found.append(torch.zeros(()) if loss is None or name in skipped else loss.detach().float())
    device = next((value.device for value in found if value.device.type != "cpu"), torch.device("cpu"))
    return torch.stack([value.to(device) for value in found]), skipped


def _gradients(
    losses: Mapping[str, Tensor | None], skipped: dict[str, str], parameters: Sequence[Tensor]
) -> dict[str, Gradients]:
    """Return by task the gradients of the losses; those that are not finite are added to ``skipped``."""
    found: dict[str, Gradients] = {}
    for name, loss in losses.items():
        if loss is None or name in skipped:
            continue
        gradients = torch.autograd.grad(loss, parameters, retain_graph=len(losses) > 1, allow_unused=True)
        if all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None):
            found[name] = gradients
        else:
            _leave_out(name, skipped, "its gradient is not finite")
    return found


def _leave_out(name: str, skipped: dict[str, str], reason: str) -> None:
    skipped[name] = reason
    warnings.warn(f"task {name!r} is left out of this step: {reason}", NonFiniteLossWarning, stacklevel=4)


@contextmanager
def _moved(parameters: Sequence[Tensor], shift: Sequence[Tensor | None]) -> Iterator[None]:
    pairs = list(zip(parameters, shift, strict=True))
    before = [None if step is None else parameter.detach().clone() for parameter, step in pairs]
    try:
        with torch.no_grad():
            for parameter, step in pairs:
                if step is not None:
                    parameter += step
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                if value is not None:
                    parameter.copy_(value)


def _rows(
    names: Sequence[str], found: Mapping[str, Gradients], trunk: Sequence[Tensor], chosen: Mapping[str, Gradients]
) -> Tensor:
    """Return the gradients over the trunk ``[T, P]``, rows of 0 for tasks that are not among the ``chosen``."""
    zeros = [torch.zeros_like(parameter).flatten() for parameter in trunk]
    rows = []
    for name in names:
        gradients = found[name][: len(trunk)] if name in chosen else (None,) * len(trunk)
        rows.append(torch.cat([z if g is None else g.flatten() for g, z in zip(gradients, zeros, strict=True)]))
    return torch.stack(rows)


def _add(parameter: Tensor, gradient: Tensor) -> None:
    gradient = gradient.detach().to(parameter.dtype)
    parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient
