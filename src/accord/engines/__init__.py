"""Engines: how gradients of several losses are computed, compared and turned into one step."""

from __future__ import annotations

from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._pages import release_memory
from accord.engines._registry import ENGINES, find_engine
from accord.engines.auto import Auto
from accord.engines.backward import backward
from accord.engines.batched import Batched
from accord.engines.conflict import condition_number, cosines, dominance, effective_rates
from accord.engines.dcp import empty_like_saved
from accord.engines.derivatives import gramian, jacobian
from accord.engines.every import Every
from accord.engines.grouped import Grouped
from accord.engines.layerwise import LayerwiseGramian
from accord.engines.loop import Loop
from accord.engines.per_group import PerGroup
from accord.engines.representation import Representation
from accord.engines.sketch import Sketch
from accord.engines.step import Part, Step

__all__ = [
    "ENGINES",
    "Auto",
    "Batched",
    "Derivatives",
    "Engine",
    "Every",
    "Grouped",
    "LayerwiseGramian",
    "Loop",
    "Part",
    "PerGroup",
    "Problem",
    "Representation",
    "Sketch",
    "Step",
    "backward",
    "condition_number",
    "cosines",
    "dominance",
    "effective_rates",
    "empty_like_saved",
    "find_engine",
    "gramian",
    "jacobian",
    "release_memory",
]
