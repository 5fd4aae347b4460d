"""Which weights are shared: stems, trunks, experts, gates and heads."""

from accord.sharing.base import Sharing
from accord.sharing.hard_sharing import HardSharing
from accord.sharing.heads import Heads, ModuleHeads, TaskHeads
from accord.sharing.mlp import MLP
from accord.sharing.mmoe import MMoE
from accord.sharing.model import MultiTaskModel
from accord.sharing.omoe import OMoE
from accord.sharing.ple import PLE
from accord.sharing.stem import FeatureStem

__all__ = [
    "MLP",
    "PLE",
    "FeatureStem",
    "HardSharing",
    "Heads",
    "MMoE",
    "ModuleHeads",
    "MultiTaskModel",
    "OMoE",
    "Sharing",
    "TaskHeads",
]
