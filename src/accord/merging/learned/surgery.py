"""A small correction of every task's representation after merging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from accord.errors import DataError
from accord.merging.learned.batches import Batches, endless
from accord.merging.learned.experts import Experts
from accord.merging.learned.features import append, features, width_of
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least
from accord.method import Method


class Correction(nn.Module):
    """``z - B relu(A z)``, of rank ``rank``, without biases; the identity at first, because ``B`` is 0.

    Args:
        width: size of the last dimension.
        rank: of the correction.
        generator: draws ``A`` as :class:`torch.nn.Linear` does.
    """

    def __init__(self, width: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = width**-0.5
        self.down = nn.Parameter(torch.empty(rank, width).uniform_(-bound, bound, generator=generator))
        self.up = nn.Parameter(torch.zeros(width, rank))

    def forward(self, representation: Tensor) -> Tensor:
        """Return the corrected representation, of the same shape."""
        return representation - torch.relu(representation @ self.down.T) @ self.up.T


class RepresentationSurgery(LearnedMerging):
    """Keep merged weights, and learn for every task what its representation lost: ``z - B relu(A z)``.

    Learned without labels: the L1 distance between the corrected representation of the merged model and the expert's,
    on the task's batches. Both are what the module ``at`` gives out. The task must be known at inference.

    Cost: per step and task two forwards and a backward through ``2 d rank`` weights; memory: no task vectors.

    Args:
        at: name of the module whose output is the representation, ``[..., d]``, in every expert, e.g. ``"trunk"``.
        rank: of the correction.
        scale: merged weights are ``base + scale * sum_i tau_i`` (task arithmetic). To operate on another merge, give
            it as ``state``.
        steps: number of them.
        rate: of Adam.
        state: merged weights by name, made by any other method.

    Source: Yang et al., Representation Surgery for Multi-Task Model Merging, 2024: rank 16, Adam 1e-3, 500 steps.
    """

    method: ClassVar[Method] = Method(
        title="Representation Surgery",
        paper="Representation Surgery for Multi-Task Model Merging",
        year=2024,
        url="https://arxiv.org/abs/2402.02705",
        needs="data",
        cost="steps x T (two forwards), 2 d rank weights per task",
        catalogue=(38,),
    )

    def __init__(
        self,
        at: str = "trunk",
        rank: int = 16,
        scale: float = 0.3,
        steps: int = 500,
        rate: float = 1e-3,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        at_least("rank", rank, 1)
        at_least("steps", steps, 1)
        self.at = at
        self.rank = rank
        self.scale = scale
        self.steps = steps
        self.rate = rate
        self.state = state

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        state = experts.moved(self.scale) if self.state is None else _complete(self.state, experts)
        held = {name: nn.Parameter(value.detach(), requires_grad=False) for name, value in state.items()}
        modules = {task: experts.assemble(task, held).eval() for task in experts.tasks}
        corrections: dict[str, Correction] = {}
        for task, module in modules.items():
            width = width_of(module, self.at, next(endless(batches[task], task)), task)
            corrections[task] = Correction(width, self.rank, generator).to(next(iter(held.values())))

        def loss(task: str, _: dict[str, Tensor], batch: Any) -> Tensor:
            with torch.no_grad():
                merged = features(modules[task], self.at, batch, task)
                wanted = features(experts.modules[task], self.at, batch, task)
            return (corrections[task](merged) - wanted).abs().mean()

        parameters = [value for correction in corrections.values() for value in correction.parameters()]
        history = learn(Lesson(parameters, dict, loss, experts.tasks, self.rate), batches, self.steps)
        for task, module in modules.items():
            append(module, self.at, corrections[task])
        return Merged(modules, {name: value.data for name, value in held.items()}, history)


def _complete(state: Mapping[str, Tensor], experts: Experts) -> dict[str, Tensor]:
    missing = [name for name in experts.base if name not in state]
    if missing:
        raise DataError(f"state lacks {missing[0]!r} and {len(missing) - 1} more of the merged parameters")
    return {name: state[name].to(base) for name, base in experts.base.items()}
