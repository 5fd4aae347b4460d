"""Rows drawn for tasks by a sampler, and what the sampler is told of each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor

from accord.engines import Step, gramian
from accord.errors import DataError
from accord.sampling import Batches, Sampler, gradient_moments
from accord.tasks import Target
from accord.training.feed import Feed, Losses, Rows, values
from accord.training.problem import Problem

# Parts of a task's rows whose gradients tell how noisy one row's is.
MICRO_BATCHES = 4


@final
class Sampled(Feed):
    """Rows that a sampler draws for each task among those with its label; each trains the task it was drawn for alone.

    After a step the sampler hears what it learns from. Losses: of the batch. Rewards: how far the step brought a task's
    loss down on the same rows, ``(before - after) / |before|`` within [0, 1], or ``before - after`` for a sampler that
    takes any number; one more forward pass. Gramian: of the balancer where it has one, else, in steps in
    which all tasks take part, of the last shared layer. Variances: of that layer, every ``every`` steps. Gradient: that
    of the shared parameters.

    Args:
        sampler: for the problem's tasks.
        problem: what is trained.
        pools: by task, the numbers of the training rows with its label.
        rows: of a batch, or one number per task.
        steps: per epoch.
        every: steps between two measurements of variances.
        seed: of the order of rows.
    """

    def __init__(
        self,
        sampler: Sampler,
        problem: Problem,
        pools: Sequence[Tensor],
        rows: int | Sequence[int],
        *,
        steps: int,
        every: int,
        seed: int,
    ) -> None:
        self.sampler, self.problem, self.steps, self.every = sampler, problem, steps, every
        self.names = [task.name for task in problem.tasks]
        self.sizes = torch.tensor([rows] * len(pools) if isinstance(rows, int) else list(rows), dtype=torch.float64)
        self.batches = Batches(sampler, dict(zip(self.names, pools, strict=True)), rows, seed=seed)
        self.taken = torch.zeros(len(pools), dtype=torch.float64)
        self.drawn = 0
        self._dice: tuple[Tensor, Tensor | None] | None = None

    def epoch(self, number: int, offset: int) -> Iterator[Rows]:  # noqa: ARG002 - tasks have epochs of their own
        for _ in range(offset, self.steps):
            batch = next(self.batches)
            counts = self.batches.counts
            shares = counts / self.sizes
            self._dice = self._random_state() if "rewards" in self.sampler.hears else None
            yield Rows(
                torch.cat([batch[name] for name in self.names if name in batch]),
                torch.repeat_interleave(torch.arange(len(counts)), counts),
                shares / shares.sum(),
            )

    def learn(self, rows: Rows, losses: Losses, step: Step) -> None:
        self.taken += self.batches.counts
        self.drawn += 1
        hears = self.sampler.hears
        news: dict[str, Any] = {"losses": values(losses)}
        if "rewards" in hears:
            news["rewards"] = self._progress(rows, news["losses"])
        if "gradient" in hears:
            news["gradient"] = torch.cat([_slope(p).flatten() for p in self.problem.shared])
        if "variances" in hears:
            if self.drawn % self.every:
                return
            lengths, news["variances"] = self._moments(rows)
            news["gramian"] = torch.diag(lengths)
        elif "gramian" in hears:
            news["gramian"] = self._gramian(rows, losses, step)
        self.sampler.observe(**news)

    def take_shares(self) -> dict[str, float]:
        shares = self.taken / self.taken.sum().clamp(min=1.0)
        self.taken = torch.zeros_like(self.taken)
        return dict(zip(self.names, shares.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        return {"batches": self.batches.state_dict(), "taken": self.taken, "drawn": self.drawn}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.batches.load_state_dict(state["batches"])
        self.taken, self.drawn = state["taken"], state["drawn"]

    def _random_state(self) -> tuple[Tensor, Tensor | None]:
        device = self.problem.device
        return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def _progress(self, rows: Rows, before: Tensor) -> Tensor:
        device = self.problem.device
        # The same random numbers once more, so that dropout leaves out the same units and not the loss's fall in noise.
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            if self._dice is not None:
                torch.set_rng_state(self._dice[0])
                if self._dice[1] is not None:
                    torch.cuda.set_rng_state(self._dice[1], device)
            fall = before - values(self.problem.losses(rows.numbers, rows.owners))
        low, high = getattr(self.sampler, "span", (0.0, 1.0))
        # Where any reward will do the sampler knows best how to scale it.
        return (fall / before.abs()).clamp(low, high) if high - low < float("inf") else fall

    def _gramian(self, rows: Rows, losses: Losses, step: Step) -> Tensor:
        if step.gramian is not None:
            # Of the losses as they are, not as they were weighed; absent tasks have zeros anyhow.
            scales = rows.scales(losses)
            by = torch.tensor([scales.get(name, 1.0) for name in self.names]).to(step.gramian)
            return step.gramian / (by[:, None] * by)
        tasks = len(self.names)
        if any(loss is None for loss in losses.values()):
            return torch.zeros(tasks, tasks, dtype=torch.float64)
        found = self.problem.losses(rows.numbers, rows.owners)
        return gramian([loss for loss in found.values() if loss is not None], self.problem.last_shared)

    def _moments(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return squared lengths and variances ``[T]`` of the tasks' gradients, NaN where a task has too few rows."""
        found = torch.full((2, len(self.names)), torch.nan, dtype=torch.float64)
        assert rows.owners is not None
        for task in range(len(self.names)):
            own = rows.numbers[rows.owners == task]
            part = len(own) // MICRO_BATCHES
            if part:
                slopes = [self._slope(own[i * part : (i + 1) * part], task) for i in range(MICRO_BATCHES)]
                if all(slope is not None for slope in slopes):
                    moments = gradient_moments(torch.stack([s for s in slopes if s is not None])[None], part)
                    found[:, task] = torch.cat(moments)
        return found[0], found[1]

    def _slope(self, numbers: Tensor, task: int) -> Tensor | None:
        loss = self.problem.losses(numbers, torch.full_like(numbers, task))[self.names[task]]
        if loss is None:
            return None
        slopes = torch.autograd.grad(loss, self.problem.last_shared, allow_unused=True, materialize_grads=True)
        return torch.cat([slope.flatten() for slope in slopes]).cpu()


def pools_of(targets: Sequence[Target], train: Tensor) -> list[Tensor]:
    """Return by task the training rows with a label of it."""
    return [
        train[target.observed[train].flatten(1).any(1) if target.observed.ndim > 1 else target.observed[train]]
        for target in targets
    ]


def check_pools(names: Sequence[str], pools: Sequence[Tensor]) -> str | None:
    """Return a note on rows with labels of several tasks, ``None`` where there are none.

    Raises:
        DataError: there is nothing to choose: all tasks have labels in the same rows, or one has none.
    """
    for name, pool in zip(names, pools, strict=True):
        if not len(pool):
            raise DataError(f"task {name!r} has no label in the training rows that a sampler could draw")
    labels, rows = sum(map(len, pools)), len(torch.cat(list(pools)).unique())
    if labels == rows * len(pools):
        raise DataError(
            "sampling chooses between rows of different tasks, but here every row has the labels of all of them. Leave "
            "sampling out; which task moves the shared weights is the matter of balancing"
        )
    if labels == rows:
        return None
    return (
        f"{rows:,} training rows have {labels:,} labels: with sampling, a row that is drawn for one task trains that "
        "one alone"
    )


def _slope(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
