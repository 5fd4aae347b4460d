"""A step under an aggregator: a direction for the shared parameters, the mean loss for the others."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor

from accord.balancer import Aggregator, GramianAggregator, HeadWeights
from accord.engines._autograd import add_to_grad
from accord.engines._call import Call
from accord.engines._decide import Gramians, decide, descend, measure
from accord.engines._engine import Engine
from accord.engines._health import beyond, check_finite, healthy, magnitudes, not_finite
from accord.engines._reentrant import Captured
from accord.engines._reuse import Unmeasured, reuses
from accord.engines._scaling import give_up, leave_out, overflown
from accord.engines.auto import Auto
from accord.engines.loop import Loop
from accord.engines.per_group import PerGroup
from accord.engines.representation import Representation
from accord.engines.step import Step
from accord.errors import ConfigurationError


def aggregate(call: Call, aggregator: Aggregator | PerGroup) -> Step:
    """Accumulate the aggregator's direction into ``shared`` and the mean gradient into task parameters."""
    if isinstance(aggregator, PerGroup):
        aggregator.check(call.groups)
    elif call.at is not None and not isinstance(aggregator, GramianAggregator):
        raise ConfigurationError(
            f"{type(aggregator).__name__} needs the full Jacobian, so at= cannot stand in for it: leave at out"
        )
    objectives = call.objectives
    names, count = objectives.names, len(objectives.names)
    if not bool(objectives.active.any()):
        zero = torch.zeros(count, dtype=torch.float64)
        return Step(names, objectives.values, zero, None, objectives.active, dict(objectives.skipped))
    engine = _engine(call, aggregator)
    hidden = isinstance(engine, Captured)
    common = () if hidden else call.common()
    known = reuses(aggregator, call)
    keep = call.retain or call.at is not None or bool(common)
    if not hidden:
        call.graph.open()
    problem = call.problem(heads=not hidden, keep=keep, rows=not isinstance(aggregator, GramianAggregator))
    if known:
        found = Unmeasured(problem, partial(descend, call))
        measured = Gramians(found.gramian(), {})
    else:
        found = call.team.differentiate(engine, problem)
        measured = measure(call, found)
    ill = not_finite({task: magnitudes(gradients) for task, gradients in enumerate(found.heads)})
    ill = call.team.everywhere(ill | beyond(measured.total) if known else ill, count)
    guilty = overflown(objectives, {*ill, *beyond(measured.total)})
    if guilty:
        return give_up(call, guilty)
    gramian, active, skipped = healthy(measured.total, objectives, ill)
    chosen = active.tolist()
    elsewhere = known or call.at is not None or isinstance(engine, Representation)
    before = copy.deepcopy(aggregator.state_dict()) if elsewhere else None
    decision = decide(call, aggregator, found, measured.only(active, gramian), active)
    if before is not None and not_finite({0: magnitudes(decision.direction)}):
        aggregator.load_state_dict(before)
        return leave_out(call)
    factors = _factors(aggregator, objectives.values, active)
    roots = objectives.roots([on and part for on, part in zip(chosen, factors, strict=True)])
    gains = _scaled(common, call.team.pull(roots, common, keep=call.retain), 1.0)
    for task in range(count):
        if chosen[task]:
            gains += _scaled(call.own(task), found.heads[task], factors[task])
    direction = zip(call.shared, decision.direction, strict=True)
    for parameter, gradient in [*direction, *call.team.settle(call.others or (), gains)]:
        if gradient is not None:
            add_to_grad(parameter, gradient)
    shown = None if known else gramian
    return Step(names, objectives.values, decision.weights, shown, active, skipped, decision.parts)


def _engine(call: Call, aggregator: Aggregator | PerGroup) -> Engine:
    if not (call.graph.hides and call.at is None and isinstance(call.engine, (Auto, Loop))):
        return call.engine
    if isinstance(aggregator, HeadWeights):
        raise ConfigurationError(
            f"{type(aggregator).__name__} decides what the heads descend after the trunk's gradients are known, which "
            "a checkpoint with use_reentrant=True cannot wait for: use use_reentrant=False"
        )
    return Captured(_factor(aggregator, call.objectives.active))


def _factor(aggregator: Aggregator | PerGroup, active: Tensor) -> float:
    # Over the tasks that take part, as in the trunk: a mean over all T would slow the heads alone where some are not.
    return 1.0 if aggregator.heads == "sum" else 1.0 / max(int(active.sum()), 1)


def _factors(aggregator: Aggregator | PerGroup, losses: Tensor, active: Tensor) -> list[float]:
    """Return by task what the parameters outside ``shared`` receive of its loss."""
    if not isinstance(aggregator, HeadWeights):
        return [_factor(aggregator, active)] * len(losses)
    weights = torch.where(active, aggregator.head_weights(losses, active=active).to(active.device), 0.0)
    return check_finite(f"{type(aggregator).__name__}.head_weights", weights).tolist()


def _scaled(
    parameters: tuple[Tensor, ...], gradients: tuple[Tensor | None, ...], factor: float
) -> list[tuple[Tensor, Tensor]]:
    pairs = zip(parameters, gradients, strict=False)
    return [(parameter, gradient * factor) for parameter, gradient in pairs if gradient is not None]
