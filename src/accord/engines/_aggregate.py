"""A step under an aggregator: a direction for the shared parameters, the mean loss for the others."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancer import Aggregator, GramianAggregator
from accord.engines._autograd import add_to_grad, pull, unit
from accord.engines._call import Call
from accord.engines._engine import Derivatives, Engine, columns
from accord.engines._health import check_finite, healthy, magnitudes, not_finite
from accord.engines._reentrant import Captured
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
    engine = _engine(call, factor)
    hidden = isinstance(engine, Captured)
    common = () if hidden else call.common()
    keep = call.retain or call.at is not None or bool(common)
    if not hidden:
        call.graph.open()
    found = engine.differentiate(call.problem(heads=not hidden, keep=keep))
    ill = not_finite({task: magnitudes(gradients) for task, gradients in enumerate(found.heads)})
    gramian, active, skipped = healthy(found.gramian(), objectives, ill)
    chosen = active.tolist()
    weights, direction = _direction(call, aggregator, found, gramian, active)
    passing = pull(*_roots(call, [factor * on for on in chosen]), common, keep=call.retain)
    for parameter, gradient in zip(call.shared, direction, strict=True):
        if gradient is not None:
            add_to_grad(parameter, gradient)
    _add_scaled(common, passing, 1.0)
    for task in range(count):
        if chosen[task]:
            _add_scaled(call.own(task), found.heads[task], factor)
    return Step(names, objectives.values, weights, gramian, active, skipped)


def _engine(call: Call, factor: float) -> Engine:
    capture = call.graph.hides and call.at is None and isinstance(call.engine, (Auto, Loop))
    return Captured(factor) if capture else call.engine


def _direction(
    call: Call, aggregator: Aggregator, found: Derivatives, gramian: Tensor, active: Tensor
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Return the weights, if the direction has any, and the direction by shared parameter."""
    who = type(aggregator).__name__
    if not bool(active.any()):
        return torch.zeros_like(gramian[0]), [None] * len(call.shared)
    if isinstance(aggregator, GramianAggregator):
        weights = check_finite(f"{who}.weights", aggregator.weights(gramian, active=active.to(gramian.device)))
        if call.at is None:
            return weights, found.direction(weights)
        return weights, list(pull(*_roots(call, weights.tolist()), call.shared, keep=True))
    jacobian = found.jacobian()
    if not bool(active.all()):
        jacobian[~active] = 0
    flat = check_finite(who, aggregator(jacobian, active=active))
    reached = [call.graph.hides or call.graph.holder(parameter) is not None for parameter in call.shared]
    return None, [flat[part] if hit else None for hit, part in zip(reached, columns(call.shared), strict=True)]


def _roots(call: Call, weights: list[float]) -> tuple[list, list[Tensor]]:
    """Return where the tasks' backwards start, and with what; tasks of weight 0 are left out."""
    used = [(edge, weights[task]) for task, edge in call.objectives.started() if weights[task]]
    return [edge for edge, _ in used], [unit(edge, weight) for edge, weight in used]


def _add_scaled(parameters: tuple[Tensor, ...], gradients: tuple[Tensor | None, ...], factor: float) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=False):
        if gradient is not None:
            add_to_grad(parameter, gradient * factor)
