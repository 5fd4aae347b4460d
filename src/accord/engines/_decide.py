"""Ask an aggregator, or one per group, where the shared parameters are to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.balancer import Aggregator, GramianAggregator
from accord.engines._call import Call
from accord.engines._engine import Derivatives, columns
from accord.engines._health import check_finite
from accord.engines._rows import combine
from accord.engines._scattered import Joint
from accord.engines.per_group import PerGroup
from accord.engines.step import Part


@dataclass(frozen=True, slots=True)
class Gramians:
    """``total [T, T]`` and that of each group, in the unit of the unscaled gradients."""

    total: Tensor
    each: dict[str, Tensor]

    def only(self, active: Tensor, total: Tensor) -> Gramians:
        """Return these with ``total`` for their own and the entries of inactive tasks 0."""
        pairs = (active[:, None] & active).to(total.device)
        return Gramians(total, {name: torch.where(pairs, part, 0.0) for name, part in self.each.items()})

    def parts(self) -> dict[str, Part]:
        """Return what a step says of groups that were not decided one by one."""
        return {name: Part(None, part) for name, part in self.each.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """The weights, if the direction has any; the direction by shared parameter, scaled; the same by group."""

    weights: Tensor | None
    direction: list[Tensor | None]
    parts: dict[str, Part]


def measure(call: Call, found: Derivatives) -> Gramians:
    """Return the Gramian, and that of each group where there are groups."""
    square = call.objectives.scale**2
    if not call.groups:
        return Gramians(found.gramian() / square, {})
    each = found.gramians() / square
    return Gramians(each.sum(0), dict(zip(call.groups, each, strict=True)))


def decide(
    call: Call, aggregator: Aggregator | PerGroup, found: Derivatives, gramians: Gramians, active: Tensor
) -> Decision:
    """Return the direction under ``aggregator``; ``None`` for parameters that no active task reaches.

    Raises:
        AccordError: an aggregator returned what is not finite.
    """
    if not bool(active.any()):
        return Decision(torch.zeros_like(gramians.total[0]), [None] * len(call.shared), gramians.parts())
    if isinstance(aggregator, PerGroup):
        return _by_group(call, aggregator, found, gramians, active)
    if isinstance(aggregator, GramianAggregator):
        weights = _weights(aggregator, gramians.total, call, active)
        direction = descend(call, weights) if call.at else found.direction(weights)
        return Decision(weights, direction, gramians.parts())
    flat = _ask(aggregator, _jacobian(call, found, active), call, active)
    return Decision(None, _parted(call, found, flat, range(len(call.shared))), gramians.parts())


def _by_group(call: Call, balancer: PerGroup, found: Derivatives, gramians: Gramians, active: Tensor) -> Decision:
    weights: dict[str, Tensor] = {}
    for name, gramian in gramians.each.items():
        member = balancer[name]
        if isinstance(member, GramianAggregator):
            weights[name] = _weights(member, gramian, call, active) if call.groups[name] else 0.0 * gramian[0]
    if len(weights) == len(call.groups):
        direction = found.directions(torch.stack(list(weights.values())))
    else:
        direction = _slices(call, balancer, found, weights, active)
    parts = {name: Part(weights.get(name), gramian) for name, gramian in gramians.each.items()}
    return Decision(None, direction, parts)


def _slices(
    call: Call, balancer: PerGroup, found: Derivatives, weights: dict[str, Tensor], active: Tensor
) -> list[Tensor | None]:
    """Return the direction where some group needs its part of the Jacobian."""
    jacobian = _jacobian(call, found, active)
    places, direction = columns(call.shared), list[Tensor | None]([None] * len(call.shared))
    for name, group in call.groups.items():
        if not group:
            continue
        rows = torch.cat([jacobian[:, places[i]] for i in group], dim=1)
        if name in weights:
            flat = combine(weights[name], rows) * call.objectives.scale
        else:
            flat = _ask(balancer[name], rows, call, active)
        for i, part in zip(group, _parted(call, found, flat, group), strict=True):
            direction[i] = part
    return direction


def _weights(aggregator: GramianAggregator, gramian: Tensor, call: Call, active: Tensor) -> Tensor:
    losses = call.objectives.values.to(gramian.device)
    weights = aggregator.weights(gramian, losses=losses, active=active.to(gramian.device))
    return check_finite(f"{type(aggregator).__name__}.weights", weights)


def _ask(aggregator: Aggregator, jacobian: Tensor, call: Call, active: Tensor) -> Tensor:
    flat = aggregator(jacobian, losses=call.objectives.values, active=active)
    return check_finite(type(aggregator).__name__, flat) * call.objectives.scale


def _jacobian(call: Call, found: Derivatives, active: Tensor) -> Tensor:
    jacobian = found.jacobian().div_(call.objectives.scale)
    if not bool(active.all()):
        jacobian[~active] = 0
    return jacobian


def _parted(call: Call, found: Derivatives, flat: Tensor, group: Sequence[int]) -> list[Tensor | None]:
    """Cut ``flat`` into the parameters of ``group``; ``None`` for those that no task reaches."""
    if isinstance(found, Joint):
        return found.place(flat, group)
    parameters = [call.shared[i] for i in group]
    reached = [call.reaches(parameter) for parameter in parameters]
    return [flat[part] if hit else None for hit, part in zip(reached, columns(parameters), strict=True)]


def descend(call: Call, weights: Tensor) -> list[Tensor | None]:
    """Return the gradients of the losses under ``weights`` by shared parameter, from one ordinary backward."""
    mine = zip(
        call.shared, call.team.pull(call.objectives.roots(weights.tolist()), call.shared, keep=True), strict=True
    )
    whole = call.team.settle(call.shared, [(p, gradient) for p, gradient in mine if gradient is not None])
    found = {id(parameter): gradient for parameter, gradient in whole}
    return [found.get(id(parameter)) for parameter in call.shared]
