"""Fronts between fine-tunings: `accord merge --front` over two and over three of a zoo."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from benchmarks.zoo.judge import Judge
from benchmarks.zoo.task import Task
from benchmarks.zoo.train import Zoo, trunk_of
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from accord.steering import merge_front

POINTS = {2: 11, 3: 15}
State = Mapping[str, Tensor]


def steer(judge: Judge, work: Path, names: Sequence[str], done: Container[str] = ()) -> Iterator[dict]:
    """Average the fine-tunings of the first two of some tasks, and of the first three, at evenly spaced preferences.

    Each point is measured on validation rows, which is what the front and its page show, and then on test rows, which
    is what a record says. The front directories stay in ``work`` for ``accord explore``.
    """
    of = {task.name: task for task in judge.tasks}
    for count in POINTS:
        tasks, name = [of[task] for task in names[:count]], f"front of {count}"
        if name in done:
            continue
        recipe = _recipe(judge.zoo, tasks, work)
        front = merge_front(recipe, work / name.replace(" ", "-"), _Measure(judge.zoo, tasks), points=POINTS[count])
        places = range(len(front.points))
        test = _Measure(judge.zoo, tasks, "test")
        states = [test(work / name.replace(" ", "-") / "solutions" / f"{place:03d}") for place in places]
        yield {
            "method": name,
            "front": [
                {
                    "preference": list(point.preference),
                    "validation": {t: found["accuracy"] for t, found in _said(front.points[place]).items()},
                    "test": {task: found["accuracy"] for task, found in states[place].items()},
                }
                for place, point in zip(places, front.points, strict=True)
            ],
        }


class _Measure:
    """Loss and accuracy of a merged trunk on each task's own rows, under its own head."""

    def __init__(self, zoo: Zoo, tasks: Sequence[Task], part: str = "validation") -> None:
        self.zoo, self.tasks, self.part = zoo, tasks, part

    @torch.no_grad()
    def __call__(self, folder: Path) -> dict[str, dict[str, float]]:
        trunk, found = deepcopy(self.zoo.base), {}
        trunk.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=False)
        for task in self.tasks:
            inputs, labels = task.parts[self.part]
            scores = torch.cat([self.zoo.heads[task.name](trunk(x)) for x in inputs.split(250)])
            right = (scores.argmax(-1) == labels).float().mean()
            found[task.name] = {"loss": float(functional.cross_entropy(scores, labels)), "accuracy": 100 * float(right)}
        return found


def _recipe(zoo: Zoo, tasks: Sequence[Task], work: Path) -> dict[str, Any]:
    """Write the fine-tunings as checkpoints, and return the recipe of their average."""
    for task in tasks:
        folder = work / "models" / task.name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.contiguous() for k, v in trunk_of(zoo.experts[task.name]).items()}, folder / "model.safetensors"
        )
    models = [str(work / "models" / task.name.replace(" ", "-")) for task in tasks]
    return {
        "models": [{"model": model, "parameters": {"weight": 1.0}} for model in models],
        "merge_method": "linear",
        "dtype": "float32",
    }


def _said(point: Any) -> dict[str, dict[str, float]]:
    return {task: {name: score.value for name, score in found.items()} for task, found in point.live.metrics.items()}
