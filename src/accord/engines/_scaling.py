"""Loss scaling for half precision: where the factor comes from, and what an overflow does to a step."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from accord.engines._autograd import add_to_grad
from accord.engines._call import Call
from accord.engines._objectives import Objectives
from accord.engines._warn import warn_caller
from accord.engines.step import Step
from accord.errors import ConfigurationError


def read_scale(scaler: GradScaler | None, device: torch.device) -> float:
    """Return what losses are multiplied by before the backward, 1 without an enabled scaler.

    Raises:
        ConfigurationError: not a gradient scaler, or its scale is no positive number.
    """
    if scaler is None:
        return 1.0
    if not isinstance(scaler, GradScaler):
        raise ConfigurationError(
            f'scaler is a {type(scaler).__name__}; pass a torch.amp.GradScaler, e.g. torch.amp.GradScaler("cuda")'
        )
    # Asking for a scaled number rather than for the scale also sets the scaler up, as its step() expects.
    scale = float(scaler.scale(torch.ones((), device=device)))
    if not (isfinite(scale) and scale > 0):
        raise ConfigurationError(f"the scaler's scale is {scale}; it must be a positive number: make a new GradScaler")
    return scale


def overflown(objectives: Objectives, suspects: Iterable[int]) -> list[int]:
    """Return those of ``suspects``, tasks whose gradient is not finite, that the scale may be blamed for.

    A scale of 1 or less enlarges nothing: what is not finite then would not be without a scaler either.
    """
    return sorted(suspects) if objectives.scale > 1 else []


def give_up(call: Call, guilty: list[int], also: Iterable[Tensor] = ()) -> Step:
    """Return the step that did not take place, and make every optimiser's scaler notice.

    Each parameter that the losses reach, and those in ``also``, receive infinities: whichever optimiser holds them, its
    ``scaler.step`` is skipped, and ``scaler.update`` lowers the scale.
    """
    shared = [p for p in call.shared if call.reaches(p) or call.team.several]
    own = [leaf for task in range(len(call.objectives.names)) for leaf in call.own(task)]
    for parameter in [*shared, *call.common(), *own, *also]:
        add_to_grad(parameter, torch.full_like(parameter, torch.inf, requires_grad=False))
    objectives = call.objectives
    names, scale = objectives.names, f"{objectives.scale:g}"
    others = f"the step was given up: the gradient of {names[guilty[0]]!r} overflowed at scale {scale}"
    reasons = {name: objectives.skipped.get(name, others) for name in names}
    reasons |= {names[task]: f"its gradient overflowed at scale {scale}" for task in guilty}
    zero = torch.zeros(len(names), dtype=torch.float64)
    return Step(names, objectives.values, zero, None, torch.zeros_like(objectives.active), reasons)


def leave_out(call: Call) -> Step:
    """Return the step that did not take place since the shared parameters' gradient, measured elsewhere, is not finite.

    Which task's it is cannot be told from their sum.

    Warns:
        NonFiniteLossWarning: unless loss scaling is to blame.
    """
    objectives = call.objectives
    tasks = overflown(objectives, objectives.active.nonzero().squeeze(1).tolist())
    if tasks:
        return give_up(call, tasks)
    reason = "the gradient of the shared parameters is not finite"
    warn_caller(
        f"the step is left out: {reason}, though the gradients that decided it are; "
        'engine="loop", without at= and Every, finds out whose it is'
    )
    names = objectives.names
    skipped = {name: objectives.skipped.get(name, reason) for name in names}
    zero = torch.zeros(len(names), dtype=torch.float64)
    return Step(names, objectives.values, zero, None, torch.zeros_like(objectives.active), skipped)
