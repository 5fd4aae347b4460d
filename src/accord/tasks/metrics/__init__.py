"""Metrics: numbers with a direction, vectorised over thousands of reweightings of the rows."""

from accord.tasks.metrics.decision import ACCURACY, BALANCED_ACCURACY, F1, MACRO_F1, MATTHEWS, top_k
from accord.tasks.metrics.error import MAE, POISSON_DEVIANCE, R2, RMSE
from accord.tasks.metrics.interval import coverage_error, middle_error, pinball
from accord.tasks.metrics.metric import Metric, Scorer, over_columns
from accord.tasks.metrics.probability import BRIER, LOG_LOSS
from accord.tasks.metrics.rank import QUADRATIC_KAPPA, RANK_ACCURACY, RANK_ERROR
from accord.tasks.metrics.ranking import AUC, AVERAGE_PRECISION, MACRO_AUC, MEAN_AVERAGE_PRECISION, SPEARMAN

__all__ = [
    "ACCURACY",
    "AUC",
    "AVERAGE_PRECISION",
    "BALANCED_ACCURACY",
    "BRIER",
    "F1",
    "LOG_LOSS",
    "MACRO_AUC",
    "MACRO_F1",
    "MAE",
    "MATTHEWS",
    "MEAN_AVERAGE_PRECISION",
    "POISSON_DEVIANCE",
    "QUADRATIC_KAPPA",
    "R2",
    "RANK_ACCURACY",
    "RANK_ERROR",
    "RMSE",
    "SPEARMAN",
    "Metric",
    "Scorer",
    "coverage_error",
    "middle_error",
    "over_columns",
    "pinball",
    "top_k",
]
