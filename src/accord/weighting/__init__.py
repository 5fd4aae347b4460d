"""Weightings: losses, their history or their gradients' norms in, weights on whole losses out."""

from accord.balancer import DirectWeighting, LearnedWeighting, Weighting
from accord.weighting.dynamic_weight_average import DynamicWeightAverage
from accord.weighting.famo import FAMO
from accord.weighting.fixed import Fixed
from accord.weighting.geometric_loss import GeometricLoss
from accord.weighting.grad_norm import GradNorm
from accord.weighting.imtll import IMTLL
from accord.weighting.random_loss_weighting import RandomLossWeighting
from accord.weighting.smooth_tchebycheff import SmoothTchebycheff
from accord.weighting.uncertainty import Uncertainty
from accord.weighting.uncertainty_revised import UncertaintyRevised

__all__ = [
    "FAMO",
    "IMTLL",
    "DirectWeighting",
    "DynamicWeightAverage",
    "Fixed",
    "GeometricLoss",
    "GradNorm",
    "LearnedWeighting",
    "RandomLossWeighting",
    "SmoothTchebycheff",
    "Uncertainty",
    "UncertaintyRevised",
    "Weighting",
]
