"""Merging: many checkpoints of one architecture in, one out, block by block."""

from accord.merging.dare import DARE
from accord.merging.entry import Rules
from accord.merging.in_memory import NonFiniteMergeWarning
from accord.merging.linear import Linear
from accord.merging.manifest import verify
from accord.merging.merge_files import MergePlan, plan_merge
from accord.merging.merging_method import MergingMethod
from accord.merging.model_stock import ModelStock
from accord.merging.open_checkpoint import open_checkpoint
from accord.merging.slerp import SLERP
from accord.merging.task_arithmetic import TaskArithmetic
from accord.merging.ties import TIES

__all__ = [
    "DARE",
    "SLERP",
    "TIES",
    "Linear",
    "MergePlan",
    "MergingMethod",
    "ModelStock",
    "NonFiniteMergeWarning",
    "Rules",
    "TaskArithmetic",
    "open_checkpoint",
    "plan_merge",
    "verify",
]
