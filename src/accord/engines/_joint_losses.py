"""The losses of one step, put together from those of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from accord.engines._objectives import Objectives
from accord.engines._processes import Processes
from accord.engines._warn import warn_caller
from accord.errors import ConfigurationError

# What a process has of a task: no loss, one without a graph, one of no samples, one that counts, one not finite.
ABSENT, CONSTANT, EMPTY, PRESENT, ILL = range(5)


def join(
    processes: Processes, mine: Objectives, device: torch.device, state: tuple[float, float]
) -> tuple[Objectives, Tensor]:
    """Return the losses over all processes, and what each process has of each task, ``[R, T]`` on the CPU.

    A task's loss is the mean of the processes' losses, weighted by the counts that came with them, over the processes
    where it takes part. It takes no part in the step if its loss is not finite on one of them.

    Args:
        processes: who.
        mine: the losses of this process.
        device: where the joint losses are to be.
        state: what tells states of the balancer apart, and their size.

    Communication: 3T + 3 numbers from each process.

    Raises:
        ConfigurationError: the balancer's state differs between processes.
    """
    counts = mine.shares or (1.0,) * len(mine.names)
    kinds = [_kind(mine, task, n) for task, n in enumerate(counts)]
    wide = float(mine.values.dtype == torch.float64)
    told = [*mine.values.tolist(), *counts, *kinds, wide, *state]
    here = torch.tensor(told, dtype=torch.float64, device=processes.device)
    everyone, tasks = processes.gather(here).cpu(), len(counts)
    _check_states(everyone[:, -2:])
    values, numbers, kind = (everyone[:, i * tasks : (i + 1) * tasks] for i in range(3))
    parts = torch.where(kind == PRESENT, numbers, 0.0)
    shares = parts / parts.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    ill = (kind == ILL).any(0)
    active = (kind == PRESENT).any(0) & ~ill
    losses = torch.where(shares > 0, values * shares, 0.0).sum(0)
    losses = torch.where(ill, torch.where(kind == ILL, values, 0.0).sum(0), losses)
    joint = replace(
        mine,
        edges=tuple(edge if on else None for edge, on in zip(mine.edges, active.tolist(), strict=True)),
        values=losses.to(device, torch.float64 if bool(everyone[:, -3].any()) else torch.float32),
        active=active.to(device),
        skipped=_reasons(mine.names, values, kind, processes.rank),
        shares=tuple(shares[processes.rank].tolist()),
    )
    return joint, kind


def missing(objectives: Objectives, lacking: Tensor) -> tuple[str, int] | None:
    """Return an active task and a process that is ``lacking`` ``[R, T]`` it; ``None`` if there is none."""
    first = (lacking & objectives.active.cpu()).nonzero()
    return None if not len(first) else (objectives.names[int(first[0, 1])], int(first[0, 0]))


def _kind(mine: Objectives, task: int, count: float) -> int:
    reason = mine.skipped.get(mine.names[task])
    if reason is None:
        return PRESENT if count > 0 else EMPTY
    if reason == "absent":
        return ABSENT
    return CONSTANT if mine.values[task].isfinite() else ILL


def _check_states(states: Tensor) -> None:
    """Raise unless the balancers' states are the same, up to what processors of two makes may round differently."""
    value, size = states.unbind(1)
    apart = ((value - value[0]).abs() > 1e-6 * torch.maximum(size, size[0])).nonzero().squeeze(1).tolist()
    if apart:
        raise ConfigurationError(
            f"the balancer's state on process {apart[0]} differs from process 0, so they would decide differently: "
            "make it with the same arguments on all processes, load the same state dict, and step its own parameters "
            "with the same optimiser"
        )


def _reasons(names: Sequence[str], values: Tensor, kind: Tensor, rank: int) -> dict[str, str]:
    """Return why tasks take no part, and warn of losses that are not finite on other processes."""
    reasons: dict[str, str] = {}
    for task, name in enumerate(names):
        ill = (kind[:, task] == ILL).nonzero().squeeze(1).tolist()
        if ill:
            reasons[name] = f"its loss is {values[ill[0], task].item()} on process {', '.join(map(str, ill))}"
            if rank not in ill:  # those have warned already
                warn_caller(f"task {name!r} is left out of this step: {reasons[name]}")
        elif not bool((kind[:, task] == PRESENT).any()):
            constant = bool((kind[:, task] == CONSTANT).any())
            reasons[name] = "its loss is constant: no graph leads from it to a parameter" if constant else "absent"
    return reasons
