"""From a specification to a network, identical for identical seeds."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from accord.data import FeatureLayout
from accord.errors import ConfigurationError
from accord.registry import find
from accord.sharing import FeatureStem, Heads, MultiTaskModel
from accord.tasks import Objectives
from accord.training.spec import Spec


@dataclass(frozen=True)
class ModelParts:
    """The user's own modules; every model of a run trains a copy of its own, from the weights they came with.

    Attributes:
        trunk: maps ``[B, D]`` to ``[B, H]`` and replaces ``model.sharing``.
        heads: task name -> module mapping ``[B, H]`` to ``[B, width]``.
    """

    trunk: nn.Module | None = None
    heads: Mapping[str, nn.Module] | None = None


def build_model(
    spec: Spec, layout: FeatureLayout, objectives: Objectives, *, seed: int, parts: ModelParts | None = None
) -> MultiTaskModel:
    """Return the network of ``spec`` for the given features and tasks, initialised from ``seed`` alone.

    Heads start at the training average of their task, so the first steps are not spent on finding it.
    """
    generator = torch.Generator().manual_seed(seed)
    stem = FeatureStem(layout, **spec.model.stem, generator=generator)
    count = len(objectives.encoders)
    if parts and parts.trunk is not None:
        sharing = find("hard_sharing", "sharing")(stem.out_features, count, trunk=copy.deepcopy(parts.trunk))
    else:
        method = find(spec.model.sharing, "sharing")
        sharing = method(stem.out_features, count, **spec.model.options, generator=generator)
    if parts and parts.heads is not None:
        return MultiTaskModel(stem, sharing, _own_heads(parts.heads, objectives))
    widths = [encoder.width for encoder in objectives.encoders]
    biases = [encoder.bias() for encoder in objectives.encoders]
    heads = Heads(sharing.out_features, widths, tower=spec.model.tower, biases=biases, generator=generator)
    return MultiTaskModel(stem, sharing, heads)


def try_model(spec: Spec, tasks: int) -> None:
    """Build what of the network of ``spec`` needs no table, on few features.

    Raises:
        ConfigurationError: a method refuses an option.
    """
    generator = torch.Generator()
    sharing = find(spec.model.sharing, "sharing")(8, tasks, **spec.model.options, generator=generator)
    Heads(sharing.out_features, [1] * tasks, tower=spec.model.tower, generator=generator)


def _own_heads(heads: Mapping[str, nn.Module], objectives: Objectives) -> dict[str, nn.Module]:
    for name in objectives.names:
        if name not in heads:
            raise ConfigurationError(f"no head for task {name!r}; heads were given for {sorted(heads)}")
    return {name: copy.deepcopy(heads[name]) for name in objectives.names}
