"""Merging: many checkpoints of one architecture in, one out, block by block."""

from accord.merging.arcee_fusion import ArceeFusion
from accord.merging.breadcrumbs import Breadcrumbs
from accord.merging.dare import DARE
from accord.merging.della import DELLA
from accord.merging.entry import Rules
from accord.merging.in_memory import NonFiniteMergeWarning
from accord.merging.karcher import KarcherMean
from accord.merging.linear import Linear
from accord.merging.manifest import verify
from accord.merging.merge_files import MergePlan, plan_merge
from accord.merging.merging_method import MergingMethod
from accord.merging.model_stock import ModelStock
from accord.merging.multi_slerp import MultiSLERP
from accord.merging.open_checkpoint import open_checkpoint
from accord.merging.passthrough import Passthrough
from accord.merging.sce import SCE
from accord.merging.slerp import SLERP
from accord.merging.stack_layers import Stack, stack_layers
from accord.merging.task_arithmetic import TaskArithmetic
from accord.merging.ties import TIES

__all__ = [
    "DARE",
    "DELLA",
    "SCE",
    "SLERP",
    "TIES",
    "ArceeFusion",
    "Breadcrumbs",
    "KarcherMean",
    "Linear",
    "MergePlan",
    "MergingMethod",
    "ModelStock",
    "MultiSLERP",
    "NonFiniteMergeWarning",
    "Passthrough",
    "Rules",
    "Stack",
    "TaskArithmetic",
    "open_checkpoint",
    "plan_merge",
    "stack_layers",
    "verify",
]
