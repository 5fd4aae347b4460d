"""A step under a weighting: weights first, then one ordinary backward."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, autograd

from accord.balancer import Weighting
from accord.engines._autograd import explained
from accord.engines._call import Call
from accord.engines._decide import measure
from accord.engines._guard import guarded
from accord.engines._health import beyond, check_finite, healthy, magnitudes, not_finite, report
from accord.engines._joint_descent import descend_jointly
from accord.engines._objectives import Objectives
from accord.engines._scaling import give_up, overflown
from accord.engines.step import Step


def weigh(call: Call, weighting: Weighting) -> Step:
    """Accumulate the gradient of ``weighting.objective`` into everything it reaches."""
    objectives = call.objectives
    gramian, active, skipped, parts = None, objectives.active, objectives.skipped, {}
    if weighting.method.needs == "gramian" and bool(active.any()):
        call.graph.open()
        found = call.team.differentiate(call.engine, call.problem(heads=False, keep=True, rows=False))
        measured = measure(call, found)
        guilty = overflown(objectives, beyond(measured.total))
        if guilty:
            return give_up(call, guilty)
        gramian, active, skipped = healthy(measured.total, objectives)
        parts = measured.only(active, gramian).parts()
    slopes = torch.zeros_like(objectives.values)
    chosen = active.tolist()
    if any(chosen):
        before = copy.deepcopy(weighting.state_dict()) if objectives.scale > 1 else None
        slopes = _slopes(weighting, objectives, gramian, active)
        ill = descend_jointly(call, slopes.tolist(), chosen) if call.team.several else _descend(call, slopes, chosen)
        guilty = overflown(objectives, ill)
        if guilty and before is not None:
            weighting.load_state_dict(before)
            return give_up(call, guilty, [p for p in weighting.parameters() if p.grad is not None])
        skipped = skipped | report(objectives, ill)
        active = active & torch.tensor([task not in ill for task in range(len(chosen))], device=active.device)
    weights = torch.where(active, slopes, 0)
    return Step(objectives.names, objectives.values, weights, gramian, active, dict(skipped), parts)


def _slopes(weighting: Weighting, objectives: Objectives, gramian: Tensor | None, active: Tensor) -> Tensor:
    # The objective sees the losses' values on a leaf of its own: what comes back are the weights, and the graph of an
    # inactive task is never entered, where a zero gradient could still turn into NaN.
    probe = objectives.values.clone().requires_grad_()
    with torch.enable_grad():
        objective = weighting.objective(probe, gramian=gramian, active=active)
    check_finite(f"{type(weighting).__name__}.objective", objective.detach())
    # Scaled like all else, since whoever unscales the model's gradients unscales the weighting's parameters too.
    objective.backward(torch.full_like(objective, objectives.scale))
    slopes = torch.zeros_like(probe) if probe.grad is None else probe.grad / objectives.scale
    return check_finite(type(weighting).__name__, slopes)


def _descend(call: Call, slopes: Tensor, chosen: list[bool]) -> dict[int, float]:
    started = [(task, edge) for task, edge in call.objectives.started() if chosen[task]]
    values = slopes.tolist()
    inputs = None if call.others is None else [*call.shared, *call.others]
    with guarded(call.graph) as seen, explained():
        autograd.backward(
            [edge for _, edge in started],  # pyright: ignore[reportArgumentType]
            [call.objectives.cotangent(task, values[task]) for task, edge in started],
            retain_graph=call.retain,
            inputs=inputs,
        )
    for task, _ in started:
        seen.setdefault(task, []).extend(magnitudes([leaf.grad for leaf in call.graph.leaves[task]]))
    ill = not_finite(seen)
    for task in ill:
        for leaf in call.graph.leaves[task]:
            # Already added to; what earlier micro-batches had left here cannot be told apart any more.
            leaf.grad = None
    return ill
