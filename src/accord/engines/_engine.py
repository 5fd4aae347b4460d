"""What every engine is, and how it is found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from accord.engines._graph import Graph
from accord.engines._objectives import Objectives
from accord.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """What an engine is asked to differentiate.

    Attributes:
        objectives: the losses of this step.
        shared: the tensors whose gradients are compared, P numbers together.
        graph: the graph under the active losses.
        own: by task, the leaves outside ``shared`` that it alone reaches; their gradients come with the same backward.
        keep: leave the graph usable afterwards.
        groups: positions in ``shared`` by group, where the Gramian is wanted for each group by itself.
        rows: whether the Jacobian itself may be asked for.

    Raises:
        ConfigurationError: a shared tensor is complex.
    """

    objectives: Objectives
    shared: tuple[Tensor, ...]
    graph: Graph
    own: tuple[tuple[Tensor, ...], ...]
    keep: bool
    groups: tuple[tuple[int, ...], ...] = ()
    rows: bool = True

    def __post_init__(self) -> None:
        for tensor in self.shared:
            if tensor.is_complex():
                raise ConfigurationError(
                    f"a shared tensor of shape {list(tensor.shape)} is complex ({tensor.dtype}), and gradients are "
                    "compared as real numbers: keep it as torch.view_as_real(tensor), a parameter of twice the size, "
                    "and say torch.view_as_complex(parameter) in the forward"
                )


class Derivatives(ABC):
    """What an engine found; the tasks' own gradients are unscaled and not yet in any ``.grad``.

    Attributes:
        heads: by task, the gradients of ``Problem.own``; empty for inactive tasks.
    """

    heads: list[tuple[Tensor | None, ...]]

    @abstractmethod
    def gramian(self) -> Tensor:
        """Return the Gramian ``[T, T]``, float64: zero for inactive tasks, not finite where a gradient is not."""

    @abstractmethod
    def direction(self, weights: Tensor) -> list[Tensor | None]:
        """Return the weighted sum of the tasks' gradients by parameter; ``None`` for parameters no task reaches.

        Tasks of weight 0 are left out, whatever their gradients are. To be called once.
        """

    def gramians(self) -> Tensor:
        """Return the Gramian of each of ``Problem.groups``, ``[G, T, T]``, otherwise as :meth:`gramian`.

        Raises:
            ConfigurationError: the engine has no gradients by parameter.
        """
        raise ConfigurationError(
            'this engine has no Gramian of each group; use engine="auto", "loop", "batched" or "grouped", or, without '
            'group=, "gramian"'
        )

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        """Return what :meth:`direction` does, each group under its own row of ``weights`` ``[G, T]``.

        Only for engines that have :meth:`gramians`.
        """
        raise NotImplementedError

    def jacobian(self) -> Tensor:
        """Return the Jacobian ``[T, P]``, at least float32.

        Raises:
            ConfigurationError: the engine never forms it.
        """
        raise ConfigurationError('this engine never forms the Jacobian; use engine="loop" or engine="batched"')


class Engine(ABC):
    """Computes the Gramian of the tasks' gradients, and enough to descend along a weighted sum of them.

    Attributes:
        name: what people pass as ``engine=``.
    """

    name: ClassVar[str]

    @abstractmethod
    def differentiate(self, problem: Problem) -> Derivatives:
        """Return the derivatives of the active tasks.

        Raises:
            ConfigurationError: the model holds something this engine cannot differentiate; it is named.
        """


def columns(parameters: Sequence[Tensor]) -> list[slice]:
    """Return where each parameter's numbers lie among the P columns of the Jacobian."""
    ends = [0]
    for parameter in parameters:
        ends.append(ends[-1] + parameter.numel())
    return [slice(start, end) for start, end in pairwise(ends)]
