"""One file per kind of task; importing a kind registers it."""

from accord.tasks.kinds.binary import Binary
from accord.tasks.kinds.count import Count
from accord.tasks.kinds.multiclass import Multiclass
from accord.tasks.kinds.multilabel import Multilabel
from accord.tasks.kinds.ordinal import Ordinal
from accord.tasks.kinds.quantile import Quantile
from accord.tasks.kinds.regression import Regression

__all__ = ["Binary", "Count", "Multiclass", "Multilabel", "Ordinal", "Quantile", "Regression"]
