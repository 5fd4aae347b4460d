"""Which tasks and data sets the next batch comes from."""

from accord.sampling.automated_curriculum import AutomatedCurriculum
from accord.sampling.batches import Batches
from accord.sampling.capped import Capped
from accord.sampling.competence_curriculum import CompetenceCurriculum
from accord.sampling.cooldown import Cooldown
from accord.sampling.discounted_ucb import DiscountedUCB
from accord.sampling.exp3 import Exp3
from accord.sampling.exp3s import Exp3S
from accord.sampling.influence_matrix import InfluenceMatrix
from accord.sampling.jest import JEST
from accord.sampling.moments import gradient_moments
from accord.sampling.pi_ke import PiKE
from accord.sampling.proportional import Proportional
from accord.sampling.sampler import News, Sampler
from accord.sampling.son_goku import SonGoku
from accord.sampling.temperature import Temperature
from accord.sampling.thompson import Thompson
from accord.sampling.ucb import UCB
from accord.sampling.uncertainty_aware import UncertaintyAware
from accord.sampling.uni_max import UniMax
from accord.sampling.uniform import Uniform
from accord.sampling.unmixed import Unmixed

__all__ = [
    "JEST",
    "UCB",
    "AutomatedCurriculum",
    "Batches",
    "Capped",
    "CompetenceCurriculum",
    "Cooldown",
    "DiscountedUCB",
    "Exp3",
    "Exp3S",
    "InfluenceMatrix",
    "News",
    "PiKE",
    "Proportional",
    "Sampler",
    "SonGoku",
    "Temperature",
    "Thompson",
    "UncertaintyAware",
    "UniMax",
    "Uniform",
    "Unmixed",
    "gradient_moments",
]
