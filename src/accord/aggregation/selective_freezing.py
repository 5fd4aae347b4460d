"""Where one objective pushes ever the same way against another, hold it back for a while."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.errors import ConfigurationError
from accord.method import Method


class SelectiveFreezing(JacobianAggregator):
    """Average the gradients, but leave the first task out of the coordinates in which its own hardly changes sign.

    A coordinate's disorder is the share of the last ``window`` steps in which the first task's gradient had another
    sign than in the step before. Low disorder means that it leans steadily against the other objective, in a balance
    that serves neither; every ``window`` steps the coordinates whose disorder is below ``threshold`` are frozen for
    that task until the next decision, while the other tasks go on moving them. The first window freezes nothing.

    It is meant for few coordinates that two objectives dispute, such as the scales of quantisers under a task's loss
    and a loss of smoothness, in that order: pass them as ``shared``, and all others follow the mean loss.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T P). State: three numbers per coordinate. A step in which the first
    task is absent or alone is not counted, and freezes nothing.

    Args:
        window: steps between decisions, at least 1.
        threshold: in [0, 1], the disorder below which a coordinate is frozen; 0 freezes none.

    Source: Jiang et al., GAQAT: gradient-adaptive quantization-aware training for domain generalization, 2024, which
    freezes the task's gradient and not that of smoothness. Window and threshold are tuned there; the defaults are ours.
    The mean in place of the sum, the common scale: a frozen task counts in it, as a gradient of 0.
    """

    method: ClassVar[Method] = Method(
        title="GAQAT's selective freezing",
        paper="GAQAT: gradient-adaptive quantization-aware training for domain generalization",
        year=2024,
        url="https://arxiv.org/abs/2412.05551",
        needs="jacobian",
        cost="T backwards + O(T P), and 3 P numbers of state",
        catalogue=(264,),
    )
    signs: Tensor
    flips: Tensor
    frozen: Tensor
    compared: Tensor

    def __init__(self, window: int = 100, threshold: float = 0.3) -> None:
        super().__init__()
        if window < 1:
            raise ConfigurationError(f"window must be at least 1 step; got {window}")
        if not 0.0 <= threshold <= 1.0:
            raise ConfigurationError(f"threshold must lie in [0, 1], 0.3 for one; got {threshold}")
        self.window = window
        self.threshold = threshold
        self.register_buffer("signs", torch.zeros(0, dtype=torch.int8))
        self.register_buffer("flips", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("frozen", torch.zeros(0, dtype=torch.bool))
        # Comparisons of signs in this window; -1 as long as there is nothing to compare with.
        self.register_buffer("compared", torch.tensor(-1))

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        if len(rows) == 1 or int(present.kept[0]) != 0:
            return rows.mean(dim=0)
        if not self.signs.numel():
            self._begin(rows[0])
        if len(self.signs) != rows.shape[1]:
            raise ConfigurationError(
                f"SelectiveFreezing watches {len(self.signs)} coordinates but was given {rows.shape[1]}; "
                "always show it the same shared parameters"
            )
        kept = torch.where(self.frozen, 0.0, rows[0])
        self._watch(rows[0])
        return (rows[1:].sum(dim=0) + kept) / len(rows)

    def _begin(self, gradient: Tensor) -> None:
        self.signs = torch.zeros_like(gradient, dtype=torch.int8)
        self.flips = torch.zeros_like(gradient, dtype=torch.int32)
        self.frozen = torch.zeros_like(gradient, dtype=torch.bool)

    def _watch(self, gradient: Tensor) -> None:
        """Count the changes of sign, and decide what is frozen from the next step on when a window is full."""
        signs = gradient.sign().to(torch.int8)
        if int(self.compared) >= 0:
            self.flips += signs != self.signs
        self.signs = signs
        self.compared += 1
        if int(self.compared) == self.window:
            self.frozen = self.flips < self.threshold * self.window
            self.flips = torch.zeros_like(self.flips)
            self.compared.zero_()

    def extra_repr(self) -> str:
        return f"window={self.window}, threshold={self.threshold}"
