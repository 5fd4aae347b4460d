"""Every merging method on one zoo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from benchmarks.zoo.pictures import Pictures
from benchmarks.zoo.train import Zoo, accuracy
from torch import Tensor, nn

from accord import merging
from accord.merging import MergingMethod

# What every method with a factor of its task vectors chooses it from, by the mean accuracy on validation pictures.
SCALES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
State = Mapping[str, Tensor]
Scores = dict[str, float]

SCALED: dict[str, Callable[[float], MergingMethod]] = {
    "task arithmetic": lambda s: merging.TaskArithmetic(s),
    "TIES": lambda s: merging.TIES(scale=s),
    "DARE": lambda s: merging.DARE(density=0.5, scale=s),
    "DARE-TIES": lambda s: merging.DARE(density=0.5, merge="ties", scale=s),
    "DELLA": lambda s: merging.DELLA(scale=s),
    "Breadcrumbs": lambda s: merging.Breadcrumbs(density=0.8, gamma=0.01, scale=s),
    "SCE": lambda s: merging.SCE(density=0.5, scale=s),
    "consensus": lambda s: merging.Consensus(scale=s),
    "PCB": lambda s: merging.PCB(scale=s),
    "TSV-Merge": lambda s: merging.TSVMerge(scale=s),
    "Iso-C": lambda s: merging.IsoC(scale=s),
    "Iso-CTS": lambda s: merging.IsoCTS(scale=s),
    "KnOTS": lambda s: merging.KnOTS(scale=s),
    "WUDI": lambda s: merging.WUDI(solver="exact", scale=s),
    "DOGE": lambda s: merging.DOGE(scale=s, steps=100),
}
FIXED: dict[str, Callable[[], MergingMethod]] = {
    "average": lambda: merging.Linear(),
    "model stock": lambda: merging.ModelStock(),
    "multi-SLERP": lambda: merging.MultiSLERP(),
    "Karcher mean": lambda: merging.KarcherMean(),
}
PER_TASK: dict[str, Callable[[int], MergingMethod]] = {
    "EMR (one model per task)": lambda i: merging.EMR(i),
    "TALL masks (one model per task)": lambda i: merging.TallMasks(i),
}


def judge(zoo: Zoo, tasks: Sequence[Pictures], steps: int = 80) -> Iterator[dict[str, Any]]:
    """Yield a record per method: test accuracy of every task, the chosen factor, seconds."""
    base, experts = _trunk(zoo.base), [_trunk(expert) for expert in zoo.experts.values()]
    yield _record("base", _scores(zoo, tasks, base))
    yield _record("individual", {t.name: accuracy(zoo.experts[t.name], nn.Identity(), t, "test") for t in tasks})
    yield _record("joint training", {t.name: accuracy(zoo.joint, zoo.heads[t.name], t, "test") for t in tasks})
    for name, make in FIXED.items():
        start = time.perf_counter()
        state = make()(base, experts)
        yield _record(name, _scores(zoo, tasks, state), start)
    for name, scaled in SCALED.items():
        start = time.perf_counter()
        made = {scale: scaled(scale)(base, experts) for scale in SCALES}
        best = max(SCALES, key=lambda s: _mean(_scores(zoo, tasks, made[s], "validation")))
        yield _record(name, _scores(zoo, tasks, made[best]), start, scale=best)
    for name, own in PER_TASK.items():
        start = time.perf_counter()
        states = [own(place)(base, experts) for place in range(len(tasks))]
        yield _record(name, {t.name: _scores(zoo, [t], s)[t.name] for t, s in zip(tasks, states, strict=True)}, start)
    yield from _with_data(zoo, tasks, experts, steps)


def _with_data(zoo: Zoo, tasks: Sequence[Pictures], experts: Sequence[State], steps: int) -> Iterator[dict[str, Any]]:
    """Yield methods that look at validation pictures; test pictures are seen by none."""
    seen = {t.name: [(x, y) for x, y in zip(*(p.split(32) for p in t.parts["validation"]), strict=True)] for t in tasks}
    start = time.perf_counter()
    fishers = [merging.fisher_information(zoo.experts[t.name], [x for x, _ in seen[t.name]][:8]) for t in tasks]
    yield _record("Fisher", _scores(zoo, tasks, merging.Fisher(fishers)(None, experts)), start)
    start = time.perf_counter()
    inputs = [merging.input_gramians(zoo.experts[t.name], [x for x, _ in seen[t.name]], ["head.*"]) for t in tasks]
    yield _record("RegMean", _scores(zoo, tasks, merging.RegMean(inputs)(None, experts)), start)
    learned = {
        "AdaMerging by task": merging.AdaMerging("task", steps=steps, rate=1e-2),
        "AdaMerging by layer": merging.AdaMerging(steps=steps, rate=1e-2),
        "AdaMerging++ by layer": merging.AdaMerging(density=0.2, steps=steps, rate=1e-2),
        "AdaRank": merging.AdaRank(steps=steps, rate=1e-2),
        "concrete task arithmetic": merging.ConcreteSubspace(steps=steps, rate=1e-1),
        "aTLAS (labels)": merging.ATLAS(steps=steps),
        "WEMoE": merging.WEMoE("trunk.layers.*.mlp", steps=steps, rate=1e-3, chunk=64),
        "surgery on task arithmetic": merging.RepresentationSurgery("trunk", steps=steps, rate=1e-2),
        "model tinting": merging.ModelTinting(steps=steps),
        "distillation": merging.Distillation(steps=steps),
    }
    for name, method in learned.items():
        start = time.perf_counter()
        merged = method(zoo.base, zoo.experts, deepcopy(seen))
        scores = {t.name: accuracy(merged.modules[t.name], nn.Identity(), t, "test") for t in tasks}
        yield _record(name, scores, start)


def _trunk(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in module.state_dict().items() if name.startswith("trunk.")}


def _scores(zoo: Zoo, tasks: Sequence[Pictures], state: State, part: str = "test") -> Scores:
    module = deepcopy(zoo.base)
    module.load_state_dict(dict(state), strict=False)
    return {task.name: accuracy(module, zoo.heads[task.name], task, part) for task in tasks}


def _mean(scores: Scores) -> float:
    return sum(scores.values()) / len(scores)


def _record(name: str, scores: Scores, start: float | None = None, **more: Any) -> dict[str, Any]:
    seconds = {} if start is None else {"seconds": round(time.perf_counter() - start, 2)}
    return {"method": name, "accuracy": scores, "mean": _mean(scores), **seconds, **more}
