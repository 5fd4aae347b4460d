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


def assign(parts: Split, names: tuple[str, ...]) -> Samples:
    """Read off the gradients at the border which task each sample belongs to.

    Raises:
        ConfigurationError: a sample is used by two tasks; both are named.
    """
    sizes = [edge.node._input_metadata[edge.output_nr].shape for edge in parts.border]
    count = min((int(size[0]) if len(size) else 1 for size in sizes), default=1)
    task = torch.full((count,), len(names), dtype=torch.long)
    for t, cotangents in enumerate(parts.cotangents):
        for gradient in cotangents:
            if gradient is None:
                continue
            if gradient.ndim == 0 or gradient.shape[0] % count:
                raise ConfigurationError(
                    f"a tensor of shape {list(gradient.shape)} that the heads read has no axis of {count} samples "
                    'first; use engine="gramian"'
                )
            used = (gradient.reshape(count, -1) != 0).any(1).to(task.device)
            clash = used & (task != t) & (task != len(names))
            if bool(clash.any()):
                sample = int(clash.nonzero()[0])
                raise ConfigurationError(
                    f"sample {sample} of the batch belongs to the tasks {names[int(task[sample])]!r} and {names[t]!r}; "
                    'engine="grouped" is for samples that belong to one task each: use engine="gramian" or "loop"'
                )
            task[used] = t
    device = next((g.device for row in parts.cotangents for g in row if g is not None), torch.device("cpu"))
    return Samples(task.to(device), len(names))
