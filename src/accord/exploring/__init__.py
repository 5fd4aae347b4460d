"""The page of a front: move the preference, watch the metrics, export the model that is shown."""

from accord.exploring.serve import explore
from accord.exploring.write import write_front_page

__all__ = ["explore", "write_front_page"]
