"""The methods that a zoo judges, and what of each is chosen on validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accord import merging
from accord.merging import LayerPruning, LearnedMerging, MergingMethod

REFERENCE = "task arithmetic"
# The factor of the task vectors: every method that has one is tried with all of these.
SCALES = (0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 1.8, 2.5)
# What a method that learns is tried with besides its default learning rate: runs here are shorter than in the papers.
FASTER = 10.0


@dataclass(frozen=True)
class Scaled:
    """A method that adds ``scale`` times something to the base, and an option that is chosen after the scale."""

    make: Callable[..., MergingMethod | LayerPruning]
    default: float
    option: str = ""
    values: Sequence[float] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Learned:
    """A method that learns from the rows of ``adapt``.

    It is tried with its defaults, and from the scale that suits task arithmetic at :data:`FASTER` times its ``rate``;
    ``begin`` names its option for that scale.
    """

    make: Callable[..., LearnedMerging]
    rate: float
    begin: str = ""
    sees: str = "inputs"
    fixed: Mapping[str, Any] = field(default_factory=dict)


def pruned(inner: Callable[..., MergingMethod]) -> Callable[..., LayerPruning]:
    """Return a method that drops layers before another merges, made of that one's scale and its own options."""
    return lambda scale, **options: LayerPruning(inner(scale=scale), **options)


FIXED: dict[str, Callable[[], MergingMethod]] = {
    "average": merging.Linear,
    "model stock": merging.ModelStock,
    "multi-SLERP": merging.MultiSLERP,
    "Karcher mean": merging.KarcherMean,
}
SCALED = {
    "task arithmetic": Scaled(merging.TaskArithmetic, 0.3),
    "TIES": Scaled(merging.TIES, 1.0, "density", (0.1, 0.5)),
    "DARE": Scaled(merging.DARE, 1.0, "density", (0.3, 0.8)),
    "DARE-TIES": Scaled(merging.DARE, 1.0, "density", (0.3, 0.8), {"merge": "ties"}),
    "DELLA": Scaled(merging.DELLA, 1.0, "density", (0.5, 0.8)),
    "Breadcrumbs": Scaled(merging.Breadcrumbs, 0.2, "density", (0.4, 0.9)),
    "SCE": Scaled(merging.SCE, 1.0, "density", (0.3, 0.7)),
    "RAM": Scaled(merging.RAM, 1.0, "threshold", (1e-3, 1e-2)),
    "consensus": Scaled(merging.Consensus, 0.3, "tall", (0.2, 0.6)),
    "PCB": Scaled(merging.PCB, 1.2, "density", (0.05, 0.3)),
    "TSV-Merge": Scaled(merging.TSVMerge, 1.0),
    "Iso-C": Scaled(merging.IsoC, 1.0),
    "Iso-CTS": Scaled(merging.IsoCTS, 1.0, "common", (0.6, 0.9)),
    "KnOTS": Scaled(merging.KnOTS, 1.0, "density", (0.1, 0.6)),
    "KnOTS (by tensor)": Scaled(merging.KnOTS, 1.0, "density", (0.1, 0.6), {"trim": "tensor"}),
    "WUDI (exact)": Scaled(merging.WUDI, 1.0, fixed={"solver": "exact"}),
    "DOGE": Scaled(merging.DOGE, 1.0),
    "task arithmetic (layers pruned)": Scaled(pruned(merging.TaskArithmetic), 0.3, "keep", (0.25, 0.75)),
    "TIES (layers pruned)": Scaled(pruned(merging.TIES), 1.0, "keep", (0.25, 0.75)),
}
PER_TASK: dict[str, Callable[[int], MergingMethod]] = {
    "EMR": merging.EMR,
    "TALL masks": merging.TallMasks,
}
LEARNED = {
    "AdaMerging by task": Learned(merging.AdaMerging, 1e-3, "start", fixed={"granularity": "task"}),
    "AdaMerging by layer": Learned(merging.AdaMerging, 1e-3, "start"),
    "AdaMerging++ by layer": Learned(merging.AdaMerging, 1e-3, "start", fixed={"density": 0.2}),
    "AdaRank": Learned(merging.AdaRank, 1e-3, "start"),
    "concrete task arithmetic": Learned(merging.ConcreteSubspace, 1e-3, "scale"),
    "aTLAS": Learned(merging.ATLAS, 1e-1, sees="labels"),
    "WEMoE": Learned(merging.WEMoE, 1e-4, "scale", fixed={"chunk": 32}),
    "surgery": Learned(merging.RepresentationSurgery, 1e-3, "scale", "inputs, task at use"),
    "model tinting": Learned(merging.ModelTinting, 1e-2, "start", "inputs, task at use"),
    "distillation": Learned(merging.Distillation, 1e-3, "scale"),
}
