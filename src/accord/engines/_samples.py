"""Which task each sample of a batch belongs to, and sums over the samples of each task."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from accord.engines._layout import sample_axis
from accord.engines._split import Split
from accord.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Samples:
    """The tasks of a batch of N samples.

    Attributes:
        task: ``[N]`` task of each sample; T for samples that no task uses.
        tasks: T.
    """

    task: Tensor
    tasks: int

    def of(self, shape: tuple[int, ...], layout: int) -> Tensor:
        """Return the task of each slice along the sample axis and what precedes it, for a tensor of that layout."""
        found = sample_axis(shape, layout, len(self.task))
        assert found is not None  # trace() has refused the node otherwise
        slices = prod(shape[: found[0] + 1])
        return self.task.repeat_interleave(slices // (layout * len(self.task))).repeat(layout)

    def total(self, values: Tensor, task: Tensor) -> Tensor:
        """Return ``[T, n]``, the sums of the rows ``values [R, n]`` of each task."""
        return values.new_zeros(self.tasks + 1, values.shape[1]).index_add_(0, task, values)[: self.tasks]


def assign(parts: Split, names: tuple[str, ...]) -> tuple[Samples, list[Tensor]]:
    """Read off the gradients at the border which task each sample belongs to.

    Returns:
        The samples, and at each place of the border one gradient that carries all tasks.

    Raises:
        ConfigurationError: a sample is used by two tasks; both are named.
    """
    places = [edge.node._input_metadata[edge.output_nr] for edge in parts.border]
    count = min((int(place.shape[0]) if len(place.shape) else 1 for place in places), default=1)
    for place in places:
        if not len(place.shape) or place.shape[0] % count:
            raise ConfigurationError(
                f"a tensor of shape {list(place.shape)} that the heads read has no axis of {count} samples first; "
                'use engine="gramian"'
            )
    merged = [torch.zeros(tuple(place.shape), dtype=place.dtype, device=place.device) for place in places]
    task = torch.full((count,), len(names), dtype=torch.long, device=merged[0].device if merged else None)
    for t, cotangents in enumerate(parts.cotangents):
        for gradient, whole in zip(cotangents, merged, strict=True):
            if gradient is not None:
                _claim(task, t, names, gradient.reshape(count, -1), whole.view(count, -1))
    return Samples(task, len(names)), merged


def _claim(task: Tensor, t: int, names: tuple[str, ...], gradient: Tensor, whole: Tensor) -> None:
    """Give the rows of ``gradient`` that are not zero to task ``t`` and copy them into ``whole``."""
    used = gradient.abs().sum(1).nonzero().squeeze(1)
    before = task[used.to(task.device)]
    clash = (before != t) & (before != len(names))
    if bool(clash.any()):
        first = int(clash.nonzero()[0])
        both = f"{names[int(before[first])]!r} and {names[t]!r}"
        raise ConfigurationError(
            f"sample {int(used[first])} of the batch belongs to the tasks {both}; "
            'engine="grouped" is for samples that belong to one task each: use engine="gramian" or "loop"'
        )
    task[used.to(task.device)] = t
    whole[used] = gradient[used]
