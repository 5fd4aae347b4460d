"""Metrics: numbers with a direction, vectorised over thousands of reweightings of the rows."""

from accord.tasks.metrics.decision import ACCURACY, BALANCED_ACCURACY, F1, MACRO_F1, MATTHEWS, top_k
from accord.tasks.metrics.error import MAE, POISSON_DEVIANCE, R2, RMSE
from accord.tasks.metrics.metric import Metric, Scorer, over_columns
from accord.tasks.metrics.probability import BRIER, LOG_LOSS
from accord.tasks.metrics.ranking import AUC, AVERAGE_PRECISION, SPEARMAN

__all__ = [
    "ACCURACY",
    "AUC",
    "AVERAGE_PRECISION",
    "BALANCED_ACCURACY",
    "BRIER",
    "F1",
    "LOG_LOSS",
    "MACRO_F1",
    "MAE",
    "MATTHEWS",
    "POISSON_DEVIANCE",
    "R2",
    "RMSE",
    "SPEARMAN",
    "Metric",
    "Scorer",
    "over_columns",
    "top_k",
]
