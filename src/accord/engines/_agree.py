"""What processes tell each other before a step, so that all of them take the same one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TypeVar

import torch
from torch import Tensor, nn

from accord.engines._call import Call
from accord.engines._objectives import Objectives
from accord.engines._processes import Processes
from accord.errors import AccordError, ConfigurationError, NonFiniteLossWarning, suggest

Counts = Mapping[str, float] | Sequence[float] | Tensor
T = TypeVar("T")

# What a process has of a task. A loss that is not finite outvotes all others.
_ABSENT, _CONSTANT, _EMPTY, _PRESENT, _ILL = range(5)
_STATE = 2**16


def read_counts(counts: Counts | None, names: Sequence[str]) -> list[float]:
    """Return by task how many samples its loss stands for on this process; 1 each when nothing was said.

    Raises:
        ConfigurationError: other tasks than ``names``, or a number that counts nothing.
    """
    if counts is None:
        return [1.0] * len(names)
    if isinstance(counts, Mapping):
        for name in counts:
            if name not in names:
                raise ConfigurationError(f"counts names the task {name!r}, which is unknown. {suggest(name, names)}")
        given = [float(counts.get(name, 0.0)) for name in names]
    else:
        given = [float(n) for n in (counts.tolist() if isinstance(counts, Tensor) else counts)]
    if len(given) != len(names):
        raise ConfigurationError(f"counts has {len(given)} entries for {len(names)} tasks: {', '.join(names)}")
    for name, number in zip(names, given, strict=True):
        if not (math.isfinite(number) and number >= 0):
            raise ConfigurationError(f"counts gives task {name!r} {number} samples; a number of samples is 0 or more")
    return given


def introduce(processes: Processes, read: Callable[[], T], describe: Callable[[T], Mapping[str, str]]) -> T:
    """Return ``read()`` once every process has read its arguments without an error, and they fit together.

    Args:
        processes: who.
        read: reads and checks this process's arguments.
        describe: what of them has to be the same everywhere, by the name people know it by.

    Raises:
        AccordError: another process could not go on, so this one must not wait for it.
        ConfigurationError: two processes were given different things.
    """
    mine, failure, facts = None, None, {}
    try:
        mine = read()
        facts = describe(mine)
    except Exception as error:  # noqa: BLE001 - raised again below, after the others know
        failure = error
    digests = [int(failure is None), *(_digest(text) for text in facts.values())]
    digests += [0] * (1 + len(_FACTS) - len(digests))
    everyone = processes.gather(torch.tensor(digests, dtype=torch.int64, device=processes.device)).tolist()
    if failure is not None:
        raise failure
    failed = [rank for rank, (fine, *_) in enumerate(everyone) if not fine]
    if failed:
        raise AccordError(f"process {failed[0]} could not take part in this step; its own error says why")
    for position, what in enumerate(_FACTS, start=1):
        for rank, row in enumerate(everyone):
            if row[position] != everyone[0][position]:
                raise ConfigurationError(
                    f"{what} on process {rank} differs from process 0; all processes of the group call "
                    f"accord.backward with the same. Here: {facts[what]}"
                )
    assert mine is not None
    return mine


_FACTS = ("tasks", "shared", "task_parameters", "at", "engine", "balancer", "scaler", "counts")


def facts(call: Call, balancer: nn.Module, *, counted: bool) -> dict[str, str]:
    """Return what has to be the same on every process, in the order of ``_FACTS``."""
    texts = (
        ", ".join(call.objectives.names),
        _shapes([*zip(call.shared, _group_of(call), strict=True)]),
        _shapes([(tensor, "") for tensor in call.others or ()]),
        "none" if call.at is None else _shapes([(tensor, "") for tensor in call.at if tensor.is_leaf]),
        call.engine.name,
        _configuration(balancer),
        f"scale {call.objectives.scale!r}",
        "given" if counted else "not given",
    )
    return dict(zip(_FACTS, texts, strict=True))


def _group_of(call: Call) -> list[str]:
    names = {position: name for name, group in call.groups.items() for position in group}
    return [names.get(position, "") for position in range(len(call.shared))]


def _shapes(tensors: Sequence[tuple[Tensor, str]]) -> str:
    return f"{len(tensors)} tensors: " + ", ".join(f"{group}{list(tensor.shape)}" for tensor, group in tensors)


def _configuration(balancer: nn.Module) -> str:
    """Return the class with its plain attributes and its whole numbers, seeds and counters above all."""
    words = [type(balancer).__name__]
    for name, module in balancer.named_modules():
        for key, value in sorted(vars(module).items()):
            if not key.startswith("_") and key != "training" and isinstance(value, bool | int | float | str | tuple):
                words.append(f"{name}.{key}={value!r}")
    for name, buffer in balancer.named_buffers():
        if not buffer.is_floating_point():
            words.append(f"{name}={buffer.reshape(-1)[:_STATE].tolist()}")
    return " ".join(words)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")


def _state(balancer: nn.Module) -> tuple[float, float]:
    """Return one number that tells different states apart, and their size; long histories by their first numbers."""
    total = size = 0.0
    for tensor in [*balancer.parameters(), *balancer.buffers()]:
        if tensor.is_floating_point() and tensor.numel():
            values = tensor.detach().reshape(-1)[:_STATE].to("cpu", torch.float64)
            places = torch.arange(1, len(values) + 1, dtype=torch.float64)
            total += float((values * places.cos()).sum())
            size += float(values.abs().sum())
    return total, size


def join(processes: Processes, call: Call, balancer: nn.Module, counts: Sequence[float]) -> tuple[Objectives, Tensor]:
    """Return the losses over all processes, and what each process has of each task, ``[R, T]``.

    A task's loss is the mean of the processes' losses, weighted by ``counts``, over the processes where it takes part.
    It takes no part in the step if its loss is not finite on one of them.

    Communication: 3T + 3 numbers from each process.

    Raises:
        ConfigurationError: the balancer's state differs between processes.
    """
    mine, device = call.objectives, call.shared[0].device
    kinds = [_kind(mine, task, n) for task, n in enumerate(counts)]
    wide = float(mine.values.dtype == torch.float64)
    told = [*mine.values.tolist(), *counts, *kinds, wide, *_state(balancer)]
    here = torch.tensor(told, dtype=torch.float64, device=processes.device)
    everyone, tasks = processes.gather(here).cpu(), len(counts)
    _check_states(everyone[:, -2:])
    values, numbers, kind = (everyone[:, i * tasks : (i + 1) * tasks] for i in range(3))
    parts = torch.where(kind == _PRESENT, numbers, 0.0)
    shares = parts / parts.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    ill = (kind == _ILL).any(0)
    active = (kind == _PRESENT).any(0) & ~ill
    losses = torch.where(shares > 0, values * shares, 0.0).sum(0)
    losses = torch.where(ill, torch.where(kind == _ILL, values, 0.0).sum(0), losses)
    joint = replace(
        mine,
        edges=tuple(edge if on else None for edge, on in zip(mine.edges, active.tolist(), strict=True)),
        values=losses.to(device, torch.float64 if bool(everyone[:, -3].any()) else torch.float32),
        active=active.to(device),
        skipped=_reasons(mine.names, values, kind, processes.rank),
        shares=tuple(shares[processes.rank].tolist()),
    )
    return joint, kind


def without_samples(objectives: Objectives, kind: Tensor, rank: int) -> Objectives:
    """Return ``objectives`` without starting points for tasks that this process has no samples of."""
    here = (kind[rank] == _PRESENT).tolist()
    edges = tuple(edge if on else None for edge, on in zip(objectives.edges, here, strict=True))
    return replace(objectives, edges=edges)


def missing(objectives: Objectives, kind: Tensor) -> tuple[str, int] | None:
    """Return an active task, and a process on which no graph leads to its loss; ``None`` if there is none."""
    lacking = ((kind == _ABSENT) | (kind == _CONSTANT)) & objectives.active.cpu()
    first = lacking.nonzero()
    return None if not len(first) else (objectives.names[int(first[0, 1])], int(first[0, 0]))


def _kind(mine: Objectives, task: int, count: float) -> int:
    reason = mine.skipped.get(mine.names[task])
    if reason is None:
        return _PRESENT if count > 0 else _EMPTY
    if reason == "absent":
        return _ABSENT
    return _CONSTANT if mine.values[task].isfinite() else _ILL


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
        ill = (kind[:, task] == _ILL).nonzero().squeeze(1).tolist()
        if ill:
            reasons[name] = f"its loss is {values[ill[0], task].item()} on process {', '.join(map(str, ill))}"
            if rank not in ill:  # those have warned already
                warnings.warn(
                    f"task {name!r} is left out of this step: {reasons[name]}", NonFiniteLossWarning, stacklevel=4
                )
        elif not bool((kind[:, task] == _PRESENT).any()):
            constant = bool((kind[:, task] == _CONSTANT).any())
            reasons[name] = "its loss is constant: no graph leads from it to a parameter" if constant else "absent"
    return reasons
