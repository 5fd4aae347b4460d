"""A whole front in one run: trained, kept, opened again, steered and exported."""

from accord.steering.directory import read_front
from accord.steering.measure import Measured, Value
from accord.steering.merged import merge_front
from accord.steering.open import FrontRun, Point, Reference, open_front
from accord.steering.run import FrontResult, run_front
from accord.steering.spec import FrontSpec, parse_front

__all__ = [
    "FrontResult",
    "FrontRun",
    "FrontSpec",
    "Measured",
    "Point",
    "Reference",
    "Value",
    "merge_front",
    "open_front",
    "parse_front",
    "read_front",
    "run_front",
]
