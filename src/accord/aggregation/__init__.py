"""Aggregators: the gradients of all tasks in, one update direction for the shared parameters out."""

from accord.aggregation.aligned_mtl import AlignedMTL
from accord.aggregation.auxi_nash import AuxiNash
from accord.aggregation.cagrad import CAGrad
from accord.aggregation.con_fig import ConFIG
from accord.aggregation.conic_grad import ConicGrad
from accord.aggregation.crmogm import CRMOGM
from accord.aggregation.dbmtl import DBMTL
from accord.aggregation.dual_proj import DualProj
from accord.aggregation.excess_mtl import ExcessMTL
from accord.aggregation.fair_grad import FairGrad
from accord.aggregation.fuller import FULLER
from accord.aggregation.gcond import GCond
from accord.aggregation.grad_drop import GradDrop
from accord.aggregation.grad_vac import GradVac
from accord.aggregation.imtlg import IMTLG
from accord.aggregation.jacobian_aggregator import JacobianAggregator
from accord.aggregation.krum import Krum
from accord.aggregation.mean import Mean
from accord.aggregation.mgda import MGDA
from accord.aggregation.mo_co import MoCo
from accord.aggregation.mo_do import MoDo
from accord.aggregation.nash_mtl import NashMTL
from accord.aggregation.orthogonal_gradient import OrthogonalGradient
from accord.aggregation.pcd import PCD
from accord.aggregation.pcgrad import PCGrad
from accord.aggregation.preference import PreferenceAggregator
from accord.aggregation.prospect import Prospect
from accord.aggregation.sdmgrad import SDMGrad
from accord.aggregation.selective_freezing import SelectiveFreezing
from accord.aggregation.sum import Sum
from accord.aggregation.trimmed_mean import TrimmedMean
from accord.aggregation.upgrad import UPGrad
from accord.balancer import Aggregator, GramianAggregator, StatelessGramianAggregator
from accord.engines.per_group import PerGroup

__all__ = [
    "CRMOGM",
    "DBMTL",
    "FULLER",
    "IMTLG",
    "MGDA",
    "PCD",
    "Aggregator",
    "AlignedMTL",
    "AuxiNash",
    "CAGrad",
    "ConFIG",
    "ConicGrad",
    "DualProj",
    "ExcessMTL",
    "FairGrad",
    "GCond",
    "GradDrop",
    "GradVac",
    "GramianAggregator",
    "JacobianAggregator",
    "Krum",
    "Mean",
    "MoCo",
    "MoDo",
    "NashMTL",
    "OrthogonalGradient",
    "PCGrad",
    "PerGroup",
    "PreferenceAggregator",
    "Prospect",
    "SDMGrad",
    "SelectiveFreezing",
    "StatelessGramianAggregator",
    "Sum",
    "TrimmedMean",
    "UPGrad",
]
