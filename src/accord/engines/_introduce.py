"""Processes compare what they were called with before they rely on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TypeVar

import torch
from torch import Tensor, nn

from accord.engines._call import Call
from accord.engines._processes import Processes
from accord.errors import AccordError, ConfigurationError

T = TypeVar("T")

_STATE = 2**16


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
    except Exception as error:
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


def facts(call: Call, balancer: nn.Module) -> dict[str, str]:
    """Return what has to be the same on every process, in the order of ``_FACTS``."""
    texts = (
        ", ".join(call.objectives.names),
        _shapes([*zip(call.shared, _group_of(call), strict=True)]),
        _shapes([(tensor, "") for tensor in call.others or ()]),
        "none" if call.at is None else _shapes([(tensor, "") for tensor in call.at if tensor.is_leaf]),
        call.engine.name,
        _configuration(balancer),
        f"scale {call.objectives.scale!r}",
        "given" if call.objectives.shares else "not given",
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


def state(balancer: nn.Module) -> tuple[float, float]:
    """Return one number that tells different states apart, and their size; long histories by their first numbers."""
    total = size = 0.0
    for tensor in [*balancer.parameters(), *balancer.buffers()]:
        if tensor.is_floating_point() and tensor.numel():
            values = tensor.detach().reshape(-1)[:_STATE].to("cpu", torch.float64)
            places = torch.arange(1, len(values) + 1, dtype=torch.float64)
            total += float((values * places.cos()).sum())
            size += float(values.abs().sum())
    return total, size
