"""The frame of a chart: gridlines, tick labels and the names of the axes."""

from __future__ import annotations

from dataclasses import dataclass

from accord.reporting.html import Markup, el, join
from accord.reporting.svg.scale import Scale, labels, ticks
from accord.reporting.svg.text import width

TOP, BOTTOM = 10, 40


@dataclass(frozen=True, slots=True)
class Frame:
    """Both scales of a chart ``width`` by ``height``."""

    x: Scale
    y: Scale
    width: float
    height: float

    @classmethod
    def around(cls, xs: tuple[float, float], ys: tuple[float, float], size: tuple[float, float], right: float) -> Frame:
        """Leave as much room on the left as the labels of the vertical axis need, and ``right`` for direct labels."""
        wide, high = size
        left = max((width(text) for text in labels(ticks(*ys))), default=0) + 10
        return cls(Scale(*xs, left, wide - right), Scale(*ys, high - BOTTOM, TOP), wide, high)

    def draw(self, x_name: str, *, emphasise: float | None = None, whole: bool = True) -> Markup:
        """Return gridlines and labels; a dotted line marks ``emphasise``, ``whole`` numbers stand below the picture."""
        return join([self._rows(), self._emphasis(emphasise), self._columns(whole), self._name(x_name)])

    def _emphasis(self, value: float | None) -> Markup | None:
        if value is None or not self.y.low <= value <= self.y.high:
            return None
        y = self.y.at(value)
        return el("line", class_="reference", x1=self.x.start, x2=self.x.end, y1=y, y2=y)

    def _rows(self) -> list[Markup]:
        values = ticks(self.y.low, self.y.high)
        drawn = []
        for value, text in zip(values, labels(values), strict=True):
            y = self.y.at(value)
            drawn.append(el("line", class_="grid", x1=self.x.start, x2=self.x.end, y1=y, y2=y))
            drawn.append(el("text", text, class_="tick", x=self.x.start - 8, y=y + 4, text_anchor="end"))
        return drawn

    def _columns(self, whole: bool) -> list[Markup]:
        count = max(3, int((self.x.end - self.x.start) / 90))
        values = ticks(self.x.low, self.x.high, count, whole=whole)
        drawn = [el("line", class_="axis", x1=self.x.start, x2=self.x.end, y1=self.y.start, y2=self.y.start)]
        for value, text in zip(values, labels(values), strict=True):
            x = self.x.at(value)
            drawn.append(el("line", class_="axis", x1=x, x2=x, y1=self.y.start, y2=self.y.start + 4))
            drawn.append(el("text", text, class_="tick", x=x, y=self.y.start + 18, text_anchor="middle"))
        return drawn

    def _name(self, text: str) -> Markup:
        return el("text", text, class_="axis-name", x=self.x.end, y=self.height - 6, text_anchor="end")
