"""Leave out of a sum of task vectors what no task, or only one, has a use for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.survey import Survey
from accord.merging.tall_masks import Joint, check_joint, joint_survey, joint_vector, own_entries
from accord.method import Method


class Consensus(MergingMethod):
    """Keep the entries of the joint task vector that at least ``at_least`` TALL masks select, times ``scale``.

    Entries that no mask selects are "catastrophic" (of no use to any task), those of one mask are "selfish".
    :class:`TallMasks` says what a mask is.

    Cost: one pass; with ``"ties"`` two passes and a sample before.

    Args:
        at_least: masks that an entry needs: 2 in the paper; 1 leaves out catastrophic entries alone, 0 nothing.
        scale: factor of the merged task vector. The paper looks for it on validation data from 0 to 1 in steps of 0.1.
        tall: of the masks, one for all tasks or one for each.
        joint: the joint vector is the ``"sum"`` of the task vectors, or merged by ``"ties"`` (with a scale of about 1).
        density: share of each task vector, over the whole model, that ``"ties"`` keeps.

    Source: Wang et al., Localizing Task Information for Improved Model Merging and Compression, 2024.
    """

    method: ClassVar[Method] = Method(
        title="Consensus merging",
        paper="Localizing Task Information for Improved Model Merging and Compression",
        year=2024,
        url="https://arxiv.org/abs/2405.07813",
        needs="parameters",
        cost="1 pass",
        catalogue=(283,),
    )

    stacks: ClassVar[int] = 3

    def __init__(
        self,
        at_least: int = 2,
        scale: float = 0.3,
        tall: Sequence[float] | float = 0.4,
        joint: Joint = "sum",
        density: float = 0.2,
    ) -> None:
        check_joint(joint, density)
        self.at_least = at_least
        self.scale = scale
        self.tall = tall
        self.joint: Joint = joint
        self.density = density
        self.scope = "model" if joint == "ties" else "tensor"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return joint_survey(self.joint, self.density, models, elements)

    def combine(self, block: Block, found: Any) -> Tensor:
        if self.at_least > block.count:
            raise ConfigurationError(
                f"at_least={self.at_least} masks cannot agree where there are {block.count} models"
            )
        merged = joint_vector(block, found)
        votes = block.buffer("votes", torch.int32).zero_()
        for index, tall in enumerate(per_model(self.tall, block.count, 0.4, "tall")):
            votes.add_(own_entries(block, index, merged, tall))
        return merged.masked_fill_(votes < self.at_least, 0.0).mul_(self.scale).add_(block.base())
