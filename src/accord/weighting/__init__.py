"""Weightings: losses, their history or their gradients' norms in, weights on whole losses out."""

from accord.balancer import DirectWeighting, LearnedWeighting, Weighting
from accord.weighting.auto_lambda import AutoLambda
from accord.weighting.co_ba import CoBa
from accord.weighting.dynamic_weight_average import DynamicWeightAverage
from accord.weighting.evidence_weighting import EvidenceWeighting
from accord.weighting.famo import FAMO
from accord.weighting.fixed import Fixed
from accord.weighting.focal_task import FocalTask
from accord.weighting.forum import FORUM
from accord.weighting.geometric_loss import GeometricLoss
from accord.weighting.grad_norm import GradNorm
from accord.weighting.gradient_blend import GradientBlend
from accord.weighting.hedge import Hedge
from accord.weighting.imtll import IMTLL
from accord.weighting.look_ahead import LooksAhead
from accord.weighting.mamlmtl import MAMLMTL
from accord.weighting.moml import MOML
from accord.weighting.random_loss_weighting import RandomLossWeighting
from accord.weighting.scheduled import Scheduled
from accord.weighting.smooth_tchebycheff import SmoothTchebycheff
from accord.weighting.spectral_risk import SpectralRisk
from accord.weighting.uncertainty import Uncertainty
from accord.weighting.uncertainty_revised import UncertaintyRevised
from accord.weighting.weight_net import WeightNet

__all__ = [
    "FAMO",
    "FORUM",
    "IMTLL",
    "MAMLMTL",
    "MOML",
    "AutoLambda",
    "CoBa",
    "DirectWeighting",
    "DynamicWeightAverage",
    "EvidenceWeighting",
    "Fixed",
    "FocalTask",
    "GeometricLoss",
    "GradNorm",
    "GradientBlend",
    "Hedge",
    "LearnedWeighting",
    "LooksAhead",
    "RandomLossWeighting",
    "Scheduled",
    "SmoothTchebycheff",
    "SpectralRisk",
    "Uncertainty",
    "UncertaintyRevised",
    "WeightNet",
    "Weighting",
]
