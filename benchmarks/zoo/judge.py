"""Every merging method on one zoo: chosen on validation rows, judged on test rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from benchmarks.zoo.methods import FASTER, FIXED, LEARNED, PER_TASK, REFERENCE, SCALED, SCALES, Learned, Scaled
from benchmarks.zoo.task import Task
from benchmarks.zoo.train import Zoo, accuracy, trunk_of
from torch import Tensor, nn

from accord import merging
from accord.merging import LayerPruning, MergingMethod

State = Mapping[str, Tensor]
Scores = dict[str, float]
Record = dict[str, Any]


@dataclass(frozen=True)
class Judge:
    """One zoo and its tasks.

    Attributes:
        blocks: patterns of the modules that WEMoE routes.
        steps: of learned methods, each on ``size`` rows of every task.
        only: the methods to judge; all when empty.
    """

    zoo: Zoo
    tasks: Sequence[Task]
    blocks: str
    steps: int
    size: int
    only: Collection[str] = ()

    def records(self, done: Container[str] = ()) -> Iterator[Record]:
        """Yield a record per method that is not ``done``: what it saw, test accuracies in per cent, CPU seconds."""
        for name, (sees, job) in self._jobs().items():
            if name not in done and (not self.only or name in self.only):
                start = time.process_time()
                found = job()
                yield {"method": name, "sees": sees, **found, "cpu_seconds": round(time.process_time() - start, 1)}

    @cached_property
    def base(self) -> dict[str, Tensor]:
        """The base's weights that a fine-tuning has changed: of adapters, not what a density would count as zeros."""
        tuned = [trunk_of(self.zoo.experts[task.name]) for task in self.tasks]
        weights = trunk_of(self.zoo.base)
        return {name: own for name, own in weights.items() if any(not torch.equal(own, one[name]) for one in tuned)}

    @cached_property
    def experts(self) -> list[dict[str, Tensor]]:
        """The same of the fine-tunings."""
        tuned = [trunk_of(self.zoo.experts[task.name]) for task in self.tasks]
        return [{name: own[name] for name in self.base} for own in tuned]

    @property
    def joint(self) -> dict[str, Tensor]:
        """The same of the joint model."""
        own = self.zoo.joint.state_dict()
        return {name: own[name.removeprefix("trunk.")].detach() for name in self.base}

    def scores(self, state: State, part: str = "test") -> Scores:
        """Return the accuracy of merged weights on every task, each under its own head."""
        module = deepcopy(self.zoo.base)
        module.load_state_dict(dict(state), strict=False)
        return {task.name: accuracy(module, self.zoo.heads[task.name], task, part) for task in self.tasks}

    def modules(self, modules: Mapping[str, nn.Module], part: str = "test") -> Scores:
        """Return the accuracy of a whole model per task."""
        return {task.name: accuracy(modules[task.name], nn.Identity(), task, part) for task in self.tasks}

    def _jobs(self) -> dict[str, tuple[str, Callable[[], Record]]]:
        jobs: dict[str, tuple[str, Callable[[], Record]]] = {
            "base": ("", lambda: {"default": self.scores(self.base)}),
            "individual": ("", lambda: {"default": self.modules(self.zoo.experts)}),
            "joint training": ("", lambda: {"default": self.scores(self.joint)}),
        }
        for name, make in FIXED.items():
            jobs[name] = "nothing", lambda make=make: {"default": self.scores(make()(self.base, self.experts))}
        for name, scaled in SCALED.items():
            jobs[name] = "nothing", lambda scaled=scaled: self._scaled(scaled)
        for name in PER_TASK:
            jobs[name] = "nothing, task at use", lambda name=name: self._per_task(name)
        jobs["Fisher"] = "inputs", self._fisher
        jobs["RegMean"] = "inputs", self._reg_mean
        for name, learned in LEARNED.items():
            jobs[name] = learned.sees, lambda name=name, learned=learned: self._learned(name, learned)
        return jobs

    def _scaled(self, method: Scaled) -> Record:
        """Choose the scale with the option's default, then the option at that scale."""
        default = self._line(method)
        before = self.scores(default(method.default), "validation")
        tried = {scale: mean(self.scores(default(scale), "validation")) for scale in SCALES}
        scale = max(tried, key=tried.__getitem__)
        lines: dict[float | None, Callable[[float], State]] = {None: default}
        best: dict[float | None, float] = {None: tried[scale]}
        for value in method.values:
            lines[value] = self._line(method, **{method.option: value})
            best[value] = mean(self.scores(lines[value](scale), "validation"))
        option = max(best, key=best.__getitem__)
        if mean(before) > best[option]:
            scale, option = method.default, None
        chosen = {"scale": scale} if option is None else {"scale": scale, method.option: option}
        return {
            "default": self.scores(default(method.default)), "tuned": self.scores(lines[option](scale)),
            "chosen": chosen,
        }  # fmt: skip

    def _line(self, method: Scaled, **options: float) -> Callable[[float], State]:
        return self.line(lambda scale: method.make(scale=scale, **method.fixed, **options))

    def line(self, make: Callable[[float], MergingMethod | LayerPruning]) -> Callable[[float], State]:
        """Return scale to merged weights, which all of these methods change in a straight line: two merges suffice."""
        low, high = (make(scale)(self.base, self.experts) for scale in (0.5, 1.0))
        return lambda scale: {name: low[name] + 2 * (scale - 0.5) * (high[name] - low[name]) for name in low}

    def best_scale(self, line: Callable[[float], State]) -> float:
        """Return the scale that is best on validation rows."""
        return max(SCALES, key=lambda scale: mean(self.scores(line(scale), "validation")))

    def _per_task(self, name: str) -> Record:
        states = [PER_TASK[name](place)(self.base, self.experts) for place in range(len(self.tasks))]
        found = {task.name: self.scores_of(task, state) for task, state in zip(self.tasks, states, strict=True)}
        return {"default": found}

    def scores_of(self, task: Task, state: State, part: str = "test") -> float:
        """Return the accuracy of merged weights on one task."""
        module = deepcopy(self.zoo.base)
        module.load_state_dict(dict(state), strict=False)
        return accuracy(module, self.zoo.heads[task.name], task, part)

    @cached_property
    def _seen(self) -> dict[str, list[tuple[Tensor, Tensor]]]:
        parts = {task.name: task.parts["adapt"] for task in self.tasks}
        return {name: list(zip(x.split(self.size), y.split(self.size), strict=True)) for name, (x, y) in parts.items()}

    def _fisher(self) -> Record:
        found = [
            merging.fisher_information(self.zoo.experts[task.name], [x for x, _ in self._seen[task.name]][:6])
            for task in self.tasks
        ]
        return {"default": self.scores(merging.Fisher(found)(None, self.experts))}

    def _reg_mean(self) -> Record:
        found = [
            merging.input_gramians(self.zoo.experts[task.name], [x for x, _ in self._seen[task.name]], ["head.*"])
            for task in self.tasks
        ]
        states = {alpha: merging.RegMean(found, alpha)(None, self.experts) for alpha in (0.9, 0.6, 0.95, 1.0)}
        best = max(states, key=lambda alpha: mean(self.scores(states[alpha], "validation")))
        return {"default": self.scores(states[0.9]), "tuned": self.scores(states[best]), "chosen": {"alpha": best}}

    @cached_property
    def _scale(self) -> float:
        """The scale that suits task arithmetic."""
        return self.best_scale(self._line(SCALED[REFERENCE]))

    def _learned(self, name: str, learned: Learned) -> Record:
        """Learn with the defaults, and faster from a scale that suits the zoo; keep the better on validation rows."""
        own = {"rate": learned.rate * FASTER, **({learned.begin: self._scale} if learned.begin else {})}
        where = {"WEMoE": {"blocks": self.blocks}, "surgery": {"at": "trunk"}}.get(name, {})
        made = []
        for options in ({"rate": learned.rate}, own):
            method = learned.make(steps=self.steps, **learned.fixed, **where, **options)
            made.append(method(self.zoo.base, self.zoo.experts, self._seen).modules)
        default, tuned = (mean(self.modules(modules, "validation")) for modules in made)
        best, chosen = (made[1], own) if tuned > default else (made[0], {"rate": learned.rate})
        return {"default": self.modules(made[0]), "tuned": self.modules(best), "chosen": chosen}


def mean(scores: Scores) -> float:
    """Return the mean over tasks."""
    return sum(scores.values()) / len(scores)
