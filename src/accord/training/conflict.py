"""How the tasks' gradients lie to each other, measured now and then while training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from torch import Tensor, nn

from accord.engines import Step, condition_number, cosines, dominance, effective_rates, gramian
from accord.training.problem import Problem

Row = tuple[str, float, str, str]


@dataclass(frozen=True)
class Conflict:
    """Inner products of the gradients of the tasks ``names`` in one step.

    Attributes:
        last: ``[T, T]`` over the last shared layer, where they are cheap to have.
        layers: the same by layer, where asked for.
    """

    names: tuple[str, ...]
    last: Tensor
    layers: Mapping[str, Tensor]

    def rows(self, step: Step, rate: float) -> Iterator[Row]:
        """Yield ``(name, value, task, other)`` for the history; what cannot be said of a zero gradient is left out.

        Args:
            step: what was done with these gradients.
            rate: the learning rate it was done at.
        """
        found = [*_pairs("cosine", self.names, self.last), ("condition", condition_number(self.last), "", "")]
        for layer, inner in self.layers.items():
            found += _pairs(f"cosine:{layer}", self.names, inner)
        found += _each("dominance", self.names, dominance(self.last))
        if step.weights is not None:
            chosen = [step.names.index(name) for name in self.names]
            found += _each(
                "effective_rate", self.names, effective_rates(self.last, step.weights[chosen].detach(), rate)
            )
        yield from (row for row in found if isfinite(row[1]))


def measure(losses: Mapping[str, Tensor | None], problem: Problem, *, layers: bool) -> Conflict | None:
    """Return how the tasks that have a loss conflict; ``None`` where fewer than two do.

    Cost: a backward down to the last shared layer per task; with ``layers`` down to the input, and T·P numbers.
    """
    present = {name: loss for name, loss in losses.items() if loss is not None}
    if len(present) < 2:
        return None
    by_layer = gramian(present, layers_of(problem.model, problem.shared)) if layers else {}
    return Conflict(tuple(present), gramian(present, problem.last_shared), by_layer)


def layers_of(model: nn.Module, parameters: list[nn.Parameter]) -> dict[str, list[nn.Parameter]]:
    """Return ``parameters`` by the name of the module that holds them, in the model's order."""
    wanted = {id(parameter) for parameter in parameters}
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in wanted:
            found.setdefault(name.rpartition(".")[0], []).append(parameter)
    return found


def _pairs(what: str, names: tuple[str, ...], inner: Tensor) -> list[Row]:
    table = cosines(inner).tolist()
    return [(what, table[i][j], a, names[j]) for i, a in enumerate(names) for j in range(i + 1, len(names))]


def _each(what: str, names: tuple[str, ...], values: Tensor) -> list[Row]:
    return [(what, value, name, "") for name, value in zip(names, values.tolist(), strict=True)]
