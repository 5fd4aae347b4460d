"""Which entries of a sum of task vectors belong to a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.gathering import gather
from accord.merging.masked import Masked
from accord.merging.merging_method import per_model
from accord.merging.selection import Thresholds, top
from accord.merging.survey import Survey
from accord.merging.ties import check_density, magnitudes
from accord.method import Method

Joint = Literal["sum", "ties"]


class TallMasks(Masked):
    """Give one task's model back from the sum of all task vectors and a mask: ``base + mask_i tau``.

    ``mask_i = |tau_i| >= tall_i |tau - tau_i|``, where ``tau`` is the sum of the task vectors or their TIES merge: the
    entries that are mostly the task's own. With one task all that is not 0 is kept and the model comes back.

    Cost: one pass; with ``"ties"`` two passes and a sample before. Stored by :func:`accord.merging.compress`, a task
    costs one bit for each weight.

    Args:
        task: place of the model that comes back, from 0 on.
        tall: how much larger than its remainder an entry must be, one for all tasks or one for each. The paper looks
            for it on validation data of the task, from 0.2 to 0.6; the smaller, the more is kept.
        joint: ``tau`` is the ``"sum"``, as most results of the paper have it, or merged by ``"ties"``.
        density: share of each task vector, over the whole model, that ``"ties"`` keeps.

    FusionBench's masks compare differences of the base's and the task's weights instead, and keep far more.

    Source: Wang et al., Localizing Task Information for Improved Model Merging and Compression, 2024.
    """

    method: ClassVar[Method] = Method(
        title="TALL masks",
        paper="Localizing Task Information for Improved Model Merging and Compression",
        year=2024,
        url="https://arxiv.org/abs/2405.07813",
        needs="parameters",
        cost="1 pass",
        catalogue=(283,),
    )

    stacks: ClassVar[int] = 3

    def __init__(
        self, task: int = 0, tall: Sequence[float] | float = 0.4, joint: Joint = "sum", density: float = 0.2
    ) -> None:
        check_joint(joint, density)
        self.task = task
        self.tall = tall
        self.joint: Joint = joint
        self.density = density
        self.scope = "model" if joint == "ties" else "tensor"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return joint_survey(self.joint, self.density, models, elements)

    def unify(self, block: Block, found: Any) -> Tensor:
        return joint_vector(block, found)

    def mask(self, block: Block, index: int, unified: Tensor) -> Tensor:
        return own_entries(block, index, unified, per_model(self.tall, block.count, 0.4, "tall")[index])

    def scales(self, models: int, found: Any) -> list[float]:
        return [1.0] * models


def check_joint(joint: str, density: float) -> None:
    """Raise a :class:`ConfigurationError` unless a joint vector can be made so."""
    if joint not in ("sum", "ties"):
        raise ConfigurationError(f"joint is 'sum' or 'ties'; got {joint!r}")
    check_density(density)


def joint_survey(joint: Joint, density: float, models: int, elements: int) -> Survey | None:
    """Return what must be known before a joint vector can be made."""
    return None if joint == "sum" else Thresholds(models, elements, [top(density, elements)])


def joint_vector(block: Block, found: Any) -> Tensor:
    """Return the sum of the task vectors ``[length]``; or, given thresholds, their TIES merge."""
    deltas = block.deltas()
    if found is None:
        return gather(block, deltas, "linear", [])
    kept = block.stack("trimmed")
    kept.whole.copy_(deltas.whole)
    for index, delta in enumerate(kept.rows):
        delta.masked_fill_(magnitudes(block, index, delta) < found[index][0], 0.0)
    return gather(block, kept, "ties", [1.0] * block.count)


def own_entries(block: Block, index: int, joint: Tensor, tall: float) -> Tensor:
    """Return where ``[length]`` a task vector is at least ``tall`` times its remainder in the joint one."""
    delta = block.delta(index)
    rest = torch.sub(joint, delta, out=block.buffer("rest")).abs_().mul_(tall)
    # What is no number is neither smaller nor larger: it stays, so that it is seen in the result.
    return torch.lt(magnitudes(block, index, delta), rest).logical_not_()
