"""What one call of :func:`accord.backward` did."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from accord.engines.conflict import Conflict


@dataclass(frozen=True, slots=True)
class Part(Conflict):
    """What was decided for one group of shared parameters.

    Attributes:
        weights: ``[T]`` on the tasks' gradients in this group; ``None`` where its direction is no weighted sum, or was
            not decided for this group by itself.
        gramian: ``[T, T]`` float64 of the gradients in this group.
    """

    weights: Tensor | None
    gramian: Tensor  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, so a narrower type is safe


@dataclass(frozen=True, slots=True)
class Step(Conflict):
    """What was decided, for logs and histories; the gradients themselves are in ``.grad``.

    Its methods, cosines and the like, cost nothing until they are called, and no gradient is computed for them.

    Attributes:
        names: T task names; positions as text when the losses have none.
        losses: ``[T]``, values only; 0 for absent tasks.
        weights: ``[T]`` on the tasks' gradients, 0 for inactive tasks; ``None`` when the aggregator's direction is no
            weighted sum, or each group has its own.
        gramian: ``[T, T]`` float64; zero rows for inactive tasks; ``None`` when the balancer needed none.
        active: ``[T]`` bool, the tasks that took part.
        skipped: why each of the others did not.
        groups: the same by group, where ``shared`` was a mapping and the balancer needed a Gramian; the Gramians of all
            groups add up to ``gramian``.
    """

    names: tuple[str, ...]
    losses: Tensor
    weights: Tensor | None
    gramian: Tensor | None
    active: Tensor
    skipped: dict[str, str]
    groups: dict[str, Part] = field(default_factory=dict)
