"""What is asked for: tasks, their labels, losses, predictions and metrics."""

from accord.tasks import kinds
from accord.tasks.calibration import Reliability, reliability, reliability_curve
from accord.tasks.encoder import TargetEncoder
from accord.tasks.labels import Labels
from accord.tasks.metrics import Metric, Scorer
from accord.tasks.objectives import Objectives
from accord.tasks.target import Target
from accord.tasks.task import Task

__all__ = [
    "Labels",
    "Metric",
    "Objectives",
    "Reliability",
    "Scorer",
    "Target",
    "TargetEncoder",
    "Task",
    "kinds",
    "reliability",
    "reliability_curve",
]
