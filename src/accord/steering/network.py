"""From a specification to one network that holds a front, and from that to the plain network of one preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from accord.data import FeatureLayout, Features
from accord.pareto import COSMOS, PaLoRA, PaMaL, PreferenceModel
from accord.sharing import FeatureStem, MultiTaskModel
from accord.steering.methods import method_class
from accord.steering.spec import FrontSpec
from accord.tasks import Objectives
from accord.training import Spec
from accord.training.build import build_model

# Seeds of networks that start apart lie this far from each other, so that no two seeds of a run share one.
APART = 1_000_003


class Steerable(nn.Module):
    """Features and a preference -> the outputs of every head.

    Args:
        front: the preference model.
        stem: stands before it where preferences are appended to what it returns; else the front has the features.
    """

    def __init__(self, front: PreferenceModel, stem: FeatureStem | None = None) -> None:
        super().__init__()
        self.front, self.stem = front, stem

    def forward(self, features: Features, preference: Tensor) -> list[Tensor]:
        """Return one output ``[B, width_t]`` per task for one ``preference`` ``[T]``."""
        return self.front(self.inputs(features), preference)

    def inputs(self, features: Features) -> Features | Tensor:
        """Return what the preference model has of ``features``; no preference plays a part in it."""
        return features if self.stem is None else self.stem(features)


class Body(nn.Module):
    """All of a model that comes after its stem."""

    def __init__(self, model: MultiTaskModel) -> None:
        super().__init__()
        self.sharing, self.heads = model.sharing, model.heads

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Return the outputs of every head for ``inputs`` ``[B, D + T]``."""
        return self.heads(self.sharing(inputs))


@dataclass(frozen=True)
class Blueprint:
    """What a front's networks are built from."""

    spec: Spec
    front: FrontSpec
    layout: FeatureLayout
    objectives: Objectives

    def plain(self, seed: int, spec: Spec | None = None) -> MultiTaskModel:
        """Return an ordinary network, initialised from ``seed`` alone."""
        return build_model(spec or self.spec, self.layout, self.objectives, seed=seed)

    def steerable(self, seed: int) -> Steerable:
        """Return the untrained network of the whole front, for a method that has one."""
        cls, tasks = method_class(self.front.method), len(self.objectives.encoders)
        options: Mapping[str, Any] = self.front.options
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # preference models draw what they add from PyTorch's own generator
            if cls is COSMOS:
                body = Body(self.plain(seed, self.conditioned([1 / tasks] * tasks)))
                return Steerable(COSMOS(body, tasks, **options), self._stem(seed))
            if cls is PaMaL:
                return Steerable(PaMaL([self.plain(seed + APART * t) for t in range(tasks)], **options))
            return Steerable(cls(self.plain(seed), tasks, **options))

    def _stem(self, seed: int) -> FeatureStem:
        stem = self.plain(seed).stem
        assert isinstance(stem, FeatureStem)
        return stem

    def conditioned(self, preference: Sequence[float]) -> Spec:
        """Return the specification of the solution for ``preference`` of a model that has it as an input."""
        return self.spec.override({"model.stem.constant": [float(entry) for entry in preference]})

    def solution_spec(self, preference: Tensor) -> Spec:
        """Return the specification that the solution for ``preference`` ``[T]`` is a run of."""
        return self.conditioned(preference.tolist()) if method_class(self.front.method) is COSMOS else self.spec

    def solution(self, model: Steerable, preference: Tensor) -> MultiTaskModel:
        """Return the solution for ``preference`` ``[T]`` as an ordinary network of its own, in evaluation mode."""
        if model.stem is None:
            found = model.front.solution(preference)
            assert isinstance(found, MultiTaskModel)
            return found.eval()
        made = self.plain(0, self.solution_spec(preference))
        assert isinstance(model.front, COSMOS)
        made.stem.load_state_dict(model.stem.state_dict())
        body = model.front.net
        assert isinstance(body, Body)
        made.sharing.load_state_dict(body.sharing.state_dict())
        made.heads.load_state_dict(body.heads.state_dict())
        return made.eval()


def adapters(model: Steerable) -> list[nn.Parameter]:
    """Return the parameters that learn T times as fast as others (PaLoRA's adapters)."""
    return [*model.front.down, *model.front.up] if isinstance(model.front, PaLoRA) else []
