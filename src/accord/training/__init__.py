"""One run: specification, training, evaluation, verdict, checkpoints."""

from accord.training.build import ModelParts
from accord.training.frozen_text import TextChoice
from accord.training.history import History
from accord.training.plan import Plan, plan
from accord.training.progress import Progress, Silent
from accord.training.run import Result, run
from accord.training.spec import (
    BalancingSpec,
    DataSpec,
    EvaluationSpec,
    ModelSpec,
    Spec,
    SplitSpec,
    TrainingSpec,
)
from accord.training.trained import Trained
from accord.training.verdict import Comparison, Contest, Verdict, judge

__all__ = [
    "BalancingSpec",
    "Comparison",
    "Contest",
    "DataSpec",
    "EvaluationSpec",
    "History",
    "ModelParts",
    "ModelSpec",
    "Plan",
    "Progress",
    "Result",
    "Silent",
    "Spec",
    "SplitSpec",
    "TextChoice",
    "Trained",
    "TrainingSpec",
    "Verdict",
    "judge",
    "plan",
    "run",
]
