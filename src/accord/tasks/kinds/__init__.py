"""One file per kind of task; importing a kind registers it."""

from accord.tasks.kinds.binary import Binary
from accord.tasks.kinds.multiclass import Multiclass
from accord.tasks.kinds.regression import Regression

__all__ = ["Binary", "Multiclass", "Regression"]
