"""A front that answers: any preference in, the numbers of the model for it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accord.exploring.axes import Column
from accord.exploring.view import View, load_view

if TYPE_CHECKING:
    from accord.steering import FrontRun


@dataclass(frozen=True, eq=False)
class LiveFront:
    """An opened front and how the page shows it."""

    view: View
    run: FrontRun

    def measure(self, preference: list[float]) -> Column:
        """Return the numbers of the model for ``preference``, of a set those of the model nearest to it."""
        return self.view.measured(self.run.evaluate(preference).to_dict())


def open_live(directory: str | Path) -> LiveFront:
    """Open a front directory.

    Raises:
        RunError: it is not one, or a file in it is damaged.
    """
    view = load_view(directory)  # first: it is quick, and its messages are about the most common mistakes
    from accord.steering import open_front

    return LiveFront(view, open_front(Path(directory)))
