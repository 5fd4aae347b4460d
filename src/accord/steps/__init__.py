"""Methods that act around a step, for they need the model, a closure or the optimiser, which no balancer is shown."""

from accord.steps.adaptive_budgets import AdaptiveBudgets
from accord.steps.flat_regions import FlatRegions
from accord.steps.mtadamw import MTAdamW
from accord.steps.rep_mtl import RepMTL
from accord.steps.retain_while_acquiring import RetainWhileAcquiring
from accord.steps.sparse_training import SparseTraining

__all__ = [
    "AdaptiveBudgets",
    "FlatRegions",
    "MTAdamW",
    "RepMTL",
    "RetainWhileAcquiring",
    "SparseTraining",
]
