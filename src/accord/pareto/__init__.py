"""Fronts: who dominates whom, how much of the trade-off a set of solutions covers, and how to find one."""

from accord.pareto.aasf import AASFScalarisation
from accord.pareto.dominance import crowding, non_dominated, ranks
from accord.pareto.epo import EPO
from accord.pareto.hypervolume import hypervolume
from accord.pareto.indicators import eaf, epsilon, igd_plus, r2
from accord.pareto.linear import LinearScalarisation
from accord.pareto.pbi import PBIScalarisation
from accord.pareto.pmgda import PMGDA
from accord.pareto.pmtl import PMTL
from accord.pareto.scalarisation import Scalarisation
from accord.pareto.smooth_tchebycheff import SmoothTchebycheffScalarisation
from accord.pareto.tchebycheff import TchebycheffScalarisation

__all__ = [
    "EPO",
    "PMGDA",
    "PMTL",
    "AASFScalarisation",
    "LinearScalarisation",
    "PBIScalarisation",
    "Scalarisation",
    "SmoothTchebycheffScalarisation",
    "TchebycheffScalarisation",
    "crowding",
    "eaf",
    "epsilon",
    "hypervolume",
    "igd_plus",
    "non_dominated",
    "r2",
    "ranks",
]
