"""Fronts: who dominates whom, how much of the trade-off a set of solutions covers, and how to find one."""

from accord.pareto.aasf import AASFScalarisation
from accord.pareto.cosmos import COSMOS
from accord.pareto.dominance import crowding, non_dominated, ranks
from accord.pareto.epo import EPO
from accord.pareto.front import evaluate_front
from accord.pareto.hypervolume import hypervolume
from accord.pareto.hypervolume_gradient import HypervolumeGradient
from accord.pareto.ibcl import IBCL
from accord.pareto.indicators import eaf, epsilon, igd_plus, r2
from accord.pareto.linear import LinearScalarisation
from accord.pareto.mogfn import MOGFN
from accord.pareto.moo_svgd import MOOSVGD
from accord.pareto.multi_tron import MultiTRON
from accord.pareto.pa_lo_ra import PaLoRA
from accord.pareto.pa_mal import PaMaL
from accord.pareto.pareto_hyper_network import ParetoHyperNetwork
from accord.pareto.pbi import PBIScalarisation
from accord.pareto.pmgda import PMGDA
from accord.pareto.pmtl import PMTL
from accord.pareto.preference_model import PreferenceModel
from accord.pareto.preferences import draw_preferences, simplex_grid
from accord.pareto.scalarisation import Scalarisation
from accord.pareto.smooth_tchebycheff import SmoothTchebycheffScalarisation
from accord.pareto.soup_front import SoupFront
from accord.pareto.tchebycheff import TchebycheffScalarisation
from accord.pareto.upside_down import Episode, UpsideDown

__all__ = [
    "COSMOS",
    "EPO",
    "IBCL",
    "MOGFN",
    "MOOSVGD",
    "PMGDA",
    "PMTL",
    "AASFScalarisation",
    "Episode",
    "HypervolumeGradient",
    "LinearScalarisation",
    "MultiTRON",
    "PBIScalarisation",
    "PaLoRA",
    "PaMaL",
    "ParetoHyperNetwork",
    "PreferenceModel",
    "Scalarisation",
    "SmoothTchebycheffScalarisation",
    "SoupFront",
    "TchebycheffScalarisation",
    "UpsideDown",
    "crowding",
    "draw_preferences",
    "eaf",
    "epsilon",
    "evaluate_front",
    "hypervolume",
    "igd_plus",
    "non_dominated",
    "r2",
    "ranks",
    "simplex_grid",
]
