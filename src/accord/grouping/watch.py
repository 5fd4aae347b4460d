"""Shows affinities what they go by while a joint model is trained, and what its encoder made of the tasks after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from accord.engines import gramian
from accord.grouping.affinity import Affinity
from accord.grouping.lookahead import lookahead
from accord.tasks import Target
from accord.training.problem import PREDICT_ROWS, Problem

LOOKS = 50  # moments of a run at which gradients are compared
ROWS = 1024  # rows that are followed through training, or read by encoders


class Watch:
    """A :class:`accord.training.loop.Watcher` for affinities that learn from one joint model.

    Dropout is off while it looks, so that training goes on as if nobody had looked.

    Args:
        affinities: of the tasks of the problem, in its order.
        seed: of the choice of rows.
    """

    def __init__(self, affinities: Sequence[Affinity], seed: int) -> None:
        self.affinities = nn.ModuleList(affinities)
        self.seed = seed

    def look(self, problem: Problem, rows: Tensor, step: int, steps: int) -> None:
        if step % max(1, steps // LOOKS):
            return
        problem.model.eval()
        if self._asked("gramian"):
            present = {name: loss for name, loss in problem.losses(rows).items() if loss is not None}
            names = list(problem.objectives.names)
            if present:
                self._tell("gramian", gramian=gramian(present, problem.shared, tasks=names, retain_graph=False))
        if self._asked("after"):
            before, after = lookahead(lambda: list(problem.losses(rows).values()), problem.shared)
            self._tell("after", before=before, after=after)
        problem.model.train()

    def end_epoch(self, problem: Problem) -> None:
        if self._asked("confidence"):
            self._tell("confidence", confidence=confidence(problem, sample(problem.train, self.seed)))

    def finish(self, problem: Problem) -> None:
        """Look at the encoder of the trained model, where an affinity goes by that."""
        if not (self._asked("means") or self._asked("heads")):
            return
        rows = sample(problem.train, self.seed)
        seen = representation(problem, rows)
        labels = torch.stack([scalar(target.take(rows)) for target in problem.targets])
        if self._asked("means"):
            self._tell("means", means=means(seen, labels))
        if self._asked("heads"):
            self._tell("heads", heads=heads(seen, labels))

    def state_dict(self) -> Mapping[str, Any]:
        return self.affinities.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.affinities.load_state_dict(dict(state))

    def _asked(self, kind: str) -> bool:
        return any(kind in affinity.hears for affinity in self._each())

    def _tell(self, kind: str, **evidence: Tensor) -> None:
        for affinity in self._each():
            if kind in affinity.hears:
                affinity.observe(representations=None, **evidence)

    def _each(self) -> list[Affinity]:
        return [affinity for affinity in self.affinities if isinstance(affinity, Affinity)]


def sample(rows: Tensor, seed: int, most: int = ROWS) -> Tensor:
    """Return up to ``most`` of ``rows``, always the same ones, ascending."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order[:most].sort().values]


@torch.no_grad()
def confidence(problem: Problem, rows: Tensor) -> Tensor:
    """Return ``[T, N]``: the likelihood ``exp(-loss)`` of each row's label, NaN where it is missing.

    That is the probability of the label for classes, and falls with the squared error for standardised numbers.
    """
    was_training = problem.model.training
    problem.model.eval()
    outputs = problem.outputs(rows)
    problem.model.train(was_training)
    found = []
    for encoder, output, target in zip(problem.objectives.encoders, outputs, problem.targets, strict=True):
        here = target.take(rows).to(problem.device)
        losses = encoder.row_loss(output, here.values)
        each = torch.where(here.observed, (-losses).exp().double(), torch.nan)
        found.append(each.flatten(1).nanmean(1) if each.ndim > 1 else each)
    return torch.stack(found).cpu()


@torch.no_grad()
def representation(problem: Problem, rows: Tensor) -> Tensor:
    """Return what the shared part makes of ``rows`` ``[N, H]``, float64; the mean where tasks see different things."""
    model = problem.model
    was_training = model.training
    model.eval()
    parts = [rows[i : i + PREDICT_ROWS] for i in range(0, len(rows), PREDICT_ROWS)]
    seen = [model.sharing(model.stem(problem.features[part].to(problem.device))) for part in parts]
    model.train(was_training)
    return torch.cat(seen).double().mean(1).cpu()


def scalar(target: Target) -> Tensor:
    """Return one number per row ``[N]``, NaN where missing: the label, or whether it is the most frequent class."""
    values, observed = target.values, target.observed
    if values.ndim > 1:
        return torch.where(observed, values.double(), torch.nan).flatten(1).nanmean(1)
    if not values.is_floating_point():
        known = values[observed]
        values = values == (known.mode().values if len(known) else 0)
    return torch.where(observed, values.double(), torch.nan)


def means(seen: Tensor, labels: Tensor) -> Tensor:
    """Return ``[T, H]``: the rows' mean weighed by label less its mean; for classes, positive less negative rows."""
    weights = labels - labels.nanmean(1, keepdim=True)
    weights = weights.nan_to_num()
    total = weights.abs().sum(1, keepdim=True)
    return torch.where(total > 0, weights @ seen / (total / 2), 0.0)


def heads(seen: Tensor, labels: Tensor, ridge: float = 1e-2) -> Tensor:
    """Return ``[T, H]``: ridge regressions of the standardised labels on the standardised representation."""
    inputs = (seen - seen.mean(0)) / seen.std(0).clamp_min(1e-9)
    found = []
    for label in labels:
        known = label.isfinite()
        x, y = inputs[known], label[known] - label[known].mean()
        gram = x.T @ x + ridge * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
        spread = y.norm()
        found.append(
            torch.linalg.solve(gram, x.T @ y / spread) if len(x) and spread > 0 else torch.zeros(x.shape[1]).double()
        )
    return torch.stack(found)
