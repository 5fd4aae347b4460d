"""A model of some tasks goes on from the weights of a model of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.sharing import MultiTaskModel


@torch.no_grad()
def adopt(model: MultiTaskModel, joint: MultiTaskModel, tasks: Sequence[int]) -> None:
    """Copy what ``joint`` has learnt of ``tasks``, and the shared weights, into ``model``.

    Args:
        model: of ``tasks``, in this order.
        joint: of all tasks, with the same options.
        tasks: positions of the tasks of ``model`` in ``joint``.

    Raises:
        ConfigurationError: the shared part has another shape for fewer tasks.
    """
    _copy(joint.shared_parameters(), model.shared_parameters())
    for here, there in enumerate(tasks):
        _copy(joint.task_parameters(there), model.task_parameters(here))


def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    if [one.shape for one in source] != [one.shape for one in target]:
        raise ConfigurationError(
            "a model of fewer tasks has weights of other shapes under this way of sharing, so that groups cannot go on "
            "from the joint weights: leave merged out, or take hard_sharing"
        )
    for old, new in zip(source, target, strict=True):
        new.copy_(old)
