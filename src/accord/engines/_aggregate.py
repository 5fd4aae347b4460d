"""A step under an aggregator: a direction for the shared parameters, the mean loss for the others."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancer import Aggregator, GramianAggregator, HeadWeights
from accord.engines._autograd import add_to_grad, pull
from accord.engines._call import Call
from accord.engines._engine import Derivatives, Engine, columns
from accord.engines._health import beyond, check_finite, healthy, magnitudes, not_finite
from accord.engines._reentrant import Captured
from accord.engines._scaling import give_up, overflown
from accord.engines.auto import Auto
from accord.engines.loop import Loop
from accord.engines.step import Step
from accord.errors import ConfigurationError


def aggregate(call: Call, aggregator: Aggregator) -> Step:
    """Accumulate the aggregator's direction into ``shared`` and the mean gradient into task parameters."""
    if call.at is not None and not isinstance(aggregator, GramianAggregator):
        raise ConfigurationError(
            f"{type(aggregator).__name__} needs the full Jacobian, so at= cannot stand in for it: leave at out"
        )
    objectives = call.objectives
    names, count = objectives.names, len(objectives.names)
    if not bool(objectives.active.any()):
        zero = torch.zeros(count, dtype=torch.float64)
        return Step(names, objectives.values, zero, None, objectives.active, dict(objectives.skipped))
    factor = 1.0 if aggregator.heads == "sum" else 1.0 / count
    engine = _engine(call, aggregator, factor)
    hidden = isinstance(engine, Captured)
    common = () if hidden else call.common()
    keep = call.retain or call.at is not None or bool(common)
    if not hidden:
        call.graph.open()
    found = engine.differentiate(call.problem(heads=not hidden, keep=keep))
    ill = not_finite({task: magnitudes(gradients) for task, gradients in enumerate(found.heads)})
    gramian = found.gramian() / objectives.scale**2
    guilty = overflown(objectives, {*ill, *beyond(gramian)})
    if guilty:
        return give_up(call, guilty)
    gramian, active, skipped = healthy(gramian, objectives, ill)
    chosen = active.tolist()
    weights, direction = _direction(call, aggregator, found, gramian, active)
    factors = _factors(aggregator, objectives.values, active, factor)
    passing = pull(
        *_roots(call, [on and part for on, part in zip(chosen, factors, strict=True)]), common, keep=call.retain
    )
    for parameter, gradient in zip(call.shared, direction, strict=True):
        if gradient is not None:
            add_to_grad(parameter, gradient)
    _add_scaled(common, passing, 1.0)
    for task in range(count):
        if chosen[task]:
            _add_scaled(call.own(task), found.heads[task], factors[task])
    return Step(names, objectives.values, weights, gramian, active, skipped)


def _engine(call: Call, aggregator: Aggregator, factor: float) -> Engine:
    if not (call.graph.hides and call.at is None and isinstance(call.engine, (Auto, Loop))):
        return call.engine
    if isinstance(aggregator, HeadWeights):
        raise ConfigurationError(
            f"{type(aggregator).__name__} decides what the heads descend after the trunk's gradients are known, which "
            "a checkpoint with use_reentrant=True cannot wait for: use use_reentrant=False"
        )
    return Captured(factor)


def _factors(aggregator: Aggregator, losses: Tensor, active: Tensor, factor: float) -> list[float]:
    """Return by task what the parameters outside ``shared`` receive of its loss."""
    if not isinstance(aggregator, HeadWeights):
        return [factor] * len(losses)
    weights = torch.where(active, aggregator.head_weights(losses, active=active).to(active.device), 0.0)
    return check_finite(f"{type(aggregator).__name__}.head_weights", weights).tolist()


def _direction(
    call: Call, aggregator: Aggregator, found: Derivatives, gramian: Tensor, active: Tensor
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Return the weights, if the direction has any, and the direction by shared parameter."""
    who = type(aggregator).__name__
    if not bool(active.any()):
        return torch.zeros_like(gramian[0]), [None] * len(call.shared)
    if isinstance(aggregator, GramianAggregator):
        weights = check_finite(f"{who}.weights", _weights(aggregator, gramian, call.objectives.values, active))
        if call.at is None:
            return weights, found.direction(weights)
        return weights, list(pull(*_roots(call, weights.tolist()), call.shared, keep=True))
    jacobian = found.jacobian().div_(call.objectives.scale)
    if not bool(active.all()):
        jacobian[~active] = 0
    flat = check_finite(who, aggregator(jacobian, losses=call.objectives.values, active=active))
    flat = flat * call.objectives.scale
    reached = [call.graph.hides or call.graph.holder(parameter) is not None for parameter in call.shared]
    return None, [flat[part] if hit else None for hit, part in zip(reached, columns(call.shared), strict=True)]


def _weights(aggregator: GramianAggregator, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
    return aggregator.weights(gramian, losses=losses.to(gramian.device), active=active.to(gramian.device))


def _roots(call: Call, weights: list[float]) -> tuple[list, list[Tensor]]:
    """Return where the tasks' backwards start, and with what; tasks of weight 0 are left out."""
    used = [(edge, weights[task]) for task, edge in call.objectives.started() if weights[task]]
    return [edge for edge, _ in used], [call.objectives.cotangent(edge, weight) for edge, weight in used]


def _add_scaled(parameters: tuple[Tensor, ...], gradients: tuple[Tensor | None, ...], factor: float) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=False):
        if gradient is not None:
            add_to_grad(parameter, gradient * factor)
