"""One small picture per method, drawn from what the method really does on a toy problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accord.training.optimizer import AdamW, Group

CAPTIONS = {
    "aggregation": (
        "Two gradients that conflict (grey, the second one longer), their mean (dashed) and the direction that the "
        "method makes of them (blue). In the shaded cone a step along the negative direction lowers both losses."
    ),
    "weighting": (
        "The weights of two tasks over a toy run in which the second loss starts four times as high and falls half as "
        "fast. Equal weights of one half are plain averaging."
    ),
    "sharing": (
        "Parameters of a small instance with three tasks, by how many of the tasks' outputs depend on them: those of "
        "all tasks are shared, those of one task are its own."
    ),
}
BLUE, ORANGE, GREY, TEXT = "#3b7dd8", "#d9822b", "#9a9a9a", "#808080"
# What some weightings have to be told about the two losses of the toy run.
FACTS: dict[str, Any] = {"tasks": 2, "sizes": (2,)}
GRADIENTS = torch.tensor([[1.0, 0.15], [-1.1, 1.3]], dtype=torch.float64)


def draw(room: str, cls: type) -> str:
    """Return the picture of a method as SVG."""
    return {"aggregation": direction, "weighting": weights, "sharing": reach}[room](cls)


def direction(cls: Any) -> str:
    """Draw the direction that an aggregator makes of two conflicting gradients."""
    update = cls()(GRADIENTS)
    mean = GRADIENTS.mean(dim=0)
    marks = [
        cone(),
        arrow(GRADIENTS[0], GREY, "task 1"),
        arrow(GRADIENTS[1], GREY, "task 2"),
        arrow(mean, TEXT, "mean", dash="5 4", left=True),
        arrow(update, BLUE, cls.method.title),
    ]
    return svg(360, 240, marks)


def cone() -> str:
    """Shade the directions whose inner product with both gradients is not negative."""
    first, second = GRADIENTS
    edges = [torch.stack([-first[1], first[0]]), torch.stack([second[1], -second[0]])]
    corners = " ".join(
        f"{x:.1f},{y:.1f}" for x, y in [place(torch.zeros(2)), *(place(e / e.norm() * 1.9) for e in edges)]
    )
    return f'<polygon points="{corners}" fill="{BLUE}" opacity="0.10"/>'


def place(point: Tensor) -> tuple[float, float]:
    """Return where a vector's end lies in the picture."""
    return 180 + 95 * float(point[0]), 190 - 95 * float(point[1])


def arrow(end: Tensor, colour: str, label: str, dash: str = "", left: bool = False) -> str:
    """Draw an arrow from the origin."""
    (x0, y0), (x, y) = place(torch.zeros(2)), place(end)
    angle, size = math.atan2(y - y0, x - x0), 8
    head = " ".join(f"{x - size * math.cos(angle + t):.1f},{y - size * math.sin(angle + t):.1f}" for t in (-0.45, 0.45))
    return (
        f'<line x1="{x0}" y1="{y0}" x2="{x:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{dash}"/>'
        f'<polygon points="{x:.1f},{y:.1f} {head}" fill="{colour}"/>'
        f'<text x="{x + (-6 if left else 8):.1f}" y="{y - 6:.1f}" fill="{colour}" '
        f'text-anchor="{"end" if left else "start"}">{label}</text>'
    )


def weights(cls: Any, steps: int = 120) -> str:
    """Draw the weights that a weighting gives two tasks while their losses fall."""
    weighting = cls(**{name: value for name, value in FACTS.items() if name in cls.__init__.__annotations__})
    own = list(weighting.parameters())
    optimiser = AdamW([Group(own, 0.05, 0.0)])  # unlike PyTorch's, it does not import a compiler first
    history = []
    for step in range(steps):
        losses = torch.tensor([math.exp(-step / 30), 4 * math.exp(-step / 60)])
        # Gradients shrink with their losses, and agree a little.
        slopes = torch.stack([losses[0] * torch.tensor([1.0, 0.2]), losses[1] * torch.tensor([0.3, 1.0])])
        gramian = slopes @ slopes.T
        history.append(weighting(losses, gramian=gramian).tolist())
        if own:
            optimiser.zero_grad()
            weighting.objective(losses.requires_grad_(), gramian=gramian).backward()
            optimiser.step(1.0)
    return svg(420, 220, [frame(max(map(max, history))), *lines(history)])


def frame(top: float) -> str:
    """Draw the axes of the weights' picture."""
    return (
        f'<line x1="40" y1="190" x2="340" y2="190" stroke="{GREY}"/>'
        f'<line x1="40" y1="20" x2="40" y2="190" stroke="{GREY}"/>'
        f'<text x="34" y="194" fill="{TEXT}" text-anchor="end">0</text>'
        f'<text x="34" y="26" fill="{TEXT}" text-anchor="end">{top:.2g}</text>'
        f'<text x="340" y="208" fill="{TEXT}" text-anchor="end">step</text>'
    )


def lines(history: Sequence[Sequence[float]]) -> list[str]:
    """Draw one line per task, labelled at its end; labels keep clear of each other."""
    top = max(map(max, history))
    ends = [190 - 170 * value / top for value in history[-1]]
    if abs(ends[0] - ends[1]) < 14:
        middle, sign = sum(ends) / 2, 1 if ends[0] >= ends[1] else -1
        ends = [middle + 7 * sign, middle - 7 * sign]
    marks = []
    for task, colour in enumerate((BLUE, ORANGE)):
        points = " ".join(
            f"{40 + 300 * i / (len(history) - 1):.1f},{190 - 170 * w[task] / top:.1f}" for i, w in enumerate(history)
        )
        marks.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(f'<text x="346" y="{ends[task] + 4:.1f}" fill="{colour}">task {task + 1}</text>')
    return marks


def reach(cls: Any, tasks: int = 3) -> str:
    """Draw how many parameters one, several or all tasks' outputs depend on."""
    module = cls(16, tasks=tasks)
    outputs = module(torch.randn(64, 16, generator=torch.Generator().manual_seed(0)))
    reached = []
    for task in range(tasks):
        found = torch.autograd.grad(
            outputs[:, task].square().sum(), list(module.parameters()), retain_graph=True, allow_unused=True
        )
        reached.append([gradient is not None and bool(gradient.any()) for gradient in found])
    counts = [0] * (tasks + 1)
    for flags, parameter in zip(zip(*reached, strict=True), module.parameters(), strict=True):
        counts[sum(flags)] += parameter.numel()
    total = sum(counts[1:])
    marks = []
    for row, (number, label) in enumerate([(tasks, "all tasks"), (2, "two tasks"), (1, "one task")]):
        y, share = 20 + 36 * row, counts[number] / total
        marks.append(f'<text x="76" y="{y + 16}" fill="{TEXT}" text-anchor="end">{label}</text>')
        marks.append(f'<rect x="84" y="{y}" width="{220 * share:.1f}" height="24" fill="{BLUE}"/>')
        marks.append(
            f'<text x="{92 + 220 * share:.1f}" y="{y + 16}" fill="{TEXT}">{counts[number]:,} ({share:.0%})</text>'
        )
    return svg(420, 132, marks)


def svg(width: int, height: int, marks: Sequence[str]) -> str:
    """Wrap marks in a document whose colours read on light and dark pages alike."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="system-ui, sans-serif" font-size="13">{"".join(marks)}</svg>\n'
    )
