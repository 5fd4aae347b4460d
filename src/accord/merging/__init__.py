"""Merging: many checkpoints of one architecture in, one out, block by block."""

from accord.merging.adapters import Adapter, MergedAdapter, adapt, merge_adapters, open_adapter
from accord.merging.analyse import Analysis, analyse, nearest_sum
from accord.merging.arcee_fusion import ArceeFusion
from accord.merging.breadcrumbs import Breadcrumbs
from accord.merging.consensus import Consensus
from accord.merging.dare import DARE
from accord.merging.della import DELLA
from accord.merging.doge import DOGE
from accord.merging.emr import EMR
from accord.merging.entry import Rules
from accord.merging.fisher import Fisher
from accord.merging.in_memory import NonFiniteMergeWarning
from accord.merging.iso_c import IsoC
from accord.merging.iso_cts import IsoCTS
from accord.merging.karcher import KarcherMean
from accord.merging.knots import KnOTS
from accord.merging.layer_pruning import LayerPruning
from accord.merging.learned.ada_merging import AdaMerging
from accord.merging.learned.ada_rank import AdaRank
from accord.merging.learned.atlas import ATLAS
from accord.merging.learned.concrete import ConcreteSubspace
from accord.merging.learned.distillation import Distillation
from accord.merging.learned.fisher_information import fisher_information
from accord.merging.learned.input_gramians import input_gramians
from accord.merging.learned.learned_merging import LearnedMerging, Merged
from accord.merging.learned.statistics import Statistics
from accord.merging.learned.surgery import RepresentationSurgery
from accord.merging.learned.tinting import ModelTinting
from accord.merging.learned.we_moe import WEMoE
from accord.merging.linear import Linear
from accord.merging.logit_arithmetic import (
    LogitDifference,
    logit_arithmetic,
    logit_difference,
    reversed_objectives,
)
from accord.merging.manifest import verify
from accord.merging.merge_files import MergePlan, plan_merge
from accord.merging.merging_method import MergingMethod
from accord.merging.model_stock import ModelStock
from accord.merging.multi_slerp import MultiSLERP
from accord.merging.near_swap import NearSwap
from accord.merging.nu_slerp import NuSLERP
from accord.merging.open_checkpoint import open_checkpoint
from accord.merging.passthrough import Passthrough
from accord.merging.pcb import PCB
from accord.merging.permuting.activation_matching import ActivationMatching
from accord.merging.permuting.groups import Groups
from accord.merging.permuting.sequential import sequential_groups
from accord.merging.permuting.sparse_prediction import SparsePrediction
from accord.merging.permuting.spectral_matching import SpectralMatching
from accord.merging.permuting.traced import traced_groups
from accord.merging.permuting.transformer import transformer_groups
from accord.merging.permuting.unit_activations import unit_activations
from accord.merging.permuting.weight_matching import WeightMatching
from accord.merging.ram import RAM
from accord.merging.recipe import Job, Recipe, RecipePlan, begin_job, merge_recipe, plan_recipe, read_recipes
from accord.merging.reg_mean import RegMean
from accord.merging.relative_representation import RelativeRepresentation, relative, stitch
from accord.merging.sce import SCE
from accord.merging.slerp import SLERP
from accord.merging.soups import PersonalisedSoup, RewardedSoup, Soup, greedy_soup, simplex
from accord.merging.stack_layers import Stack, stack_layers
from accord.merging.tall_masks import TallMasks
from accord.merging.task_arithmetic import TaskArithmetic
from accord.merging.task_store import TaskStore, compress, open_store
from accord.merging.ties import TIES
from accord.merging.tsv_merge import TSVMerge
from accord.merging.wudi import WUDI

__all__ = [
    "ATLAS",
    "DARE",
    "DELLA",
    "DOGE",
    "EMR",
    "PCB",
    "RAM",
    "SCE",
    "SLERP",
    "TIES",
    "WUDI",
    "ActivationMatching",
    "AdaMerging",
    "AdaRank",
    "Adapter",
    "Analysis",
    "ArceeFusion",
    "Breadcrumbs",
    "ConcreteSubspace",
    "Consensus",
    "Distillation",
    "Fisher",
    "Groups",
    "IsoC",
    "IsoCTS",
    "Job",
    "KarcherMean",
    "KnOTS",
    "LayerPruning",
    "LearnedMerging",
    "Linear",
    "LogitDifference",
    "MergePlan",
    "Merged",
    "MergedAdapter",
    "MergingMethod",
    "ModelStock",
    "ModelTinting",
    "MultiSLERP",
    "NearSwap",
    "NonFiniteMergeWarning",
    "NuSLERP",
    "Passthrough",
    "PersonalisedSoup",
    "Recipe",
    "RecipePlan",
    "RegMean",
    "RelativeRepresentation",
    "RepresentationSurgery",
    "RewardedSoup",
    "Rules",
    "Soup",
    "SparsePrediction",
    "SpectralMatching",
    "Stack",
    "Statistics",
    "TSVMerge",
    "TallMasks",
    "TaskArithmetic",
    "TaskStore",
    "WEMoE",
    "WeightMatching",
    "adapt",
    "analyse",
    "begin_job",
    "compress",
    "fisher_information",
    "greedy_soup",
    "input_gramians",
    "logit_arithmetic",
    "logit_difference",
    "merge_adapters",
    "merge_recipe",
    "nearest_sum",
    "open_adapter",
    "open_checkpoint",
    "open_store",
    "plan_merge",
    "plan_recipe",
    "read_recipes",
    "relative",
    "reversed_objectives",
    "sequential_groups",
    "simplex",
    "stack_layers",
    "stitch",
    "traced_groups",
    "transformer_groups",
    "unit_activations",
    "verify",
]
