"""The processes that take one step together, and what they tell each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

# PyTorch 2.13 renamed these two, and warns of the old names.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor

# The most that is copied at a time to lay rows out for a reduce-scatter.
_BUFFER = 2**26


@dataclass(frozen=True, slots=True)
class Processes:
    """A process group, with the few collectives a step needs. Sums and gathers are the same bits on every process."""

    group: ProcessGroup

    @property
    def size(self) -> int:
        """R, how many there are."""
        return dist.get_world_size(self.group)

    @property
    def rank(self) -> int:
        """Which of them this is, from 0."""
        return dist.get_rank(self.group)

    @property
    def device(self) -> torch.device:
        """Where a few numbers can be exchanged before anything else is known."""
        # Builds for CUDA name it where there is none, too, unless they are told to look.
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None or "cpu:" in dist.get_backend_config(self.group):
            return torch.device("cpu")
        return torch.device(accelerator.type, torch.accelerator.current_device_index())

    def gather(self, numbers: Tensor) -> Tensor:
        """Return every process's ``numbers``, along a new first dimension ``[R, ...]``."""
        out = numbers.new_empty(self.size * numbers.numel())
        _all_gather(out, numbers.reshape(-1).contiguous(), group=self.group)
        return out.view(self.size, *numbers.shape)

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum over all processes of ``numbers``, in their place."""
        dist.all_reduce(numbers, group=self.group)
        return numbers

    def scatter_rows(self, rows: Tensor, tasks: Iterable[int]) -> Tensor:
        """Return this process's ``[T, W]`` of the sum over processes of ``rows`` ``[T, P]``, ``W = P/R`` rounded up.

        Columns beyond P are zero, and so are the rows of tasks that are not in ``tasks``.
        """
        size, (count, total) = self.size, rows.shape
        width = -(-total // size)
        mine = rows.new_zeros(count, width)
        per_pass = max(1, _BUFFER // max(1, size * width * rows.element_size()))
        chosen = list(tasks)
        for start in range(0, len(chosen), per_pass):
            some = chosen[start : start + per_pass]
            padded = rows.new_zeros(len(some), size * width)
            padded[:, :total] = rows[some]
            laid_out = padded.view(len(some), size, width).transpose(0, 1).reshape(-1)
            found = rows.new_empty(len(some) * width)
            _reduce_scatter(found, laid_out, group=self.group)
            mine[some] = found.view(len(some), width)
        return mine


def running() -> int:
    """Return how many processes were told of each other; 1 where none were."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def check_single(what: str) -> None:
    """Raise a :class:`ConfigurationError` where several processes run, for ``what`` cannot bring theirs together."""
    if running() > 1:
        raise ConfigurationError(
            f"this is one of {running()} processes, and {what} takes its gradients from one: the models would drift "
            "apart; use accord.backward with group="
        )


def find_processes(group: ProcessGroup | Literal["local"] | None) -> Processes | None:
    """Return the processes to take a step with, or ``None`` for this one alone.

    Raises:
        ConfigurationError: several processes run and nothing was said, or ``group`` is none that this one belongs to.
    """
    if group is None:
        if running() > 1:
            raise ConfigurationError(
                f"this is one of {running()} processes, and whether they train one model together decides "
                "what the step is: pass group=torch.distributed.group.WORLD if their losses are parts of one batch "
                '(under DistributedDataParallel, too), or group="local" if each trains a model of its own'
            )
        return None
    if isinstance(group, str):
        if group == "local":
            return None
        raise ConfigurationError(f'group is {group!r}; pass a process group, e.g. dist.group.WORLD, or "local"')
    if not (dist.is_available() and isinstance(group, dist.ProcessGroup)):
        raise ConfigurationError(
            f"group is a {type(group).__name__}; pass a process group, e.g. torch.distributed.group.WORLD, or "
            "mesh.get_group() of a device mesh"
        )
    if dist.get_rank(group) < 0:
        raise ConfigurationError(f"process {dist.get_rank()} does not belong to the group it passed as group=")
    return Processes(group)
