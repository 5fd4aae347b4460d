"""From a specification to a network, identical for identical seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from accord.data import FeatureLayout
from accord.registry import find
from accord.sharing import FeatureStem, Heads, MultiTaskModel
from accord.tasks import Objectives
from accord.training.spec import Spec


@dataclass(frozen=True)
class ModelParts:
    """The user's own modules.

    Attributes:
        trunk: maps ``[B, D]`` (or the features themselves, when it has no stem) to ``[B, H]``.
        heads: task name -> module mapping ``[B, H]`` to ``[B, width]``.
    """

    trunk: nn.Module | None = None
    heads: Mapping[str, nn.Module] | None = None
