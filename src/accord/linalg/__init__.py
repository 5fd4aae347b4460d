"""Exact small solvers on the Gramian of the gradients: scale-free, float64 on the CPU, no licence strings."""

from accord.linalg.bargaining import bargain, bargaining_weights
from accord.linalg.conflict_averse import conflict_averse_weights
from accord.linalg.conic import conic_weights
from accord.linalg.dual_cone import cone_multipliers, dual_cone_weights
from accord.linalg.gram import normalise, positive_definite, precision, root, spectrum
from accord.linalg.least_distance import least_distance
from accord.linalg.min_norm import min_norm_of_columns, min_norm_weights
from accord.linalg.nonnegative import nonnegative_least_squares
from accord.linalg.projections import with_projections
from accord.linalg.simplex import nearest_on_simplex

__all__ = [
    "bargain",
    "bargaining_weights",
    "cone_multipliers",
    "conflict_averse_weights",
    "conic_weights",
    "dual_cone_weights",
    "least_distance",
    "min_norm_of_columns",
    "min_norm_weights",
    "nearest_on_simplex",
    "nonnegative_least_squares",
    "normalise",
    "positive_definite",
    "precision",
    "root",
    "spectrum",
    "with_projections",
]
