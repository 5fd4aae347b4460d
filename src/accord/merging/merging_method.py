"""The contract of a merging method."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.survey import Survey
from accord.method import Method

if TYPE_CHECKING:
    from accord.merging.entry import Rules

# The largest float32, about: numbers that models are multiplied by, and their sums, stay finite in float64.
LARGEST = 1e38
# What is left of a sum of weights that is meant to be 0 is less than this share of their magnitudes.
ROUNDING = 1e-12
Weights = nn.Module | Mapping[str, Tensor]


class MergingMethod(ABC):
    """Checkpoints in, one checkpoint out: ``Method(...)(base, models)``.

    A method is its configuration and nothing else: it holds no state, and calling it twice gives the same bits. It is
    written for one block of one tensor; what it must know of the whole tensor or model beforehand is its survey.

    Attributes:
        method: facts about the method.
        base: whether a base is needed, may be given, or is not looked at.
        fewest: models it takes at least.
        most: models it takes at most; ``None`` is any number.
        counts_base: whether a base is one of those counted.
        scope: what a survey spans: each tensor by itself, or all of the model.
        by_rows: whether a block must hold whole rows, i.e. runs along the last dimension.
        stacks: buffers it has for each model, about; the more there are, the shorter are blocks.
    """

    method: ClassVar[Method]
    base: ClassVar[Literal["needed", "optional", "unused"]] = "needed"
    fewest: ClassVar[int] = 1
    most: ClassVar[int | None] = None
    counts_base: ClassVar[bool] = False
    stacks: ClassVar[int] = 0
    scope: Literal["tensor", "model"] = "tensor"
    by_rows: bool = False

    @abstractmethod
    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        """Return what to find out about ``elements`` elements first, or ``None``."""

    @abstractmethod
    def combine(self, block: Block, found: Any) -> Tensor:
        """Return the merged elements ``[length]``, in one of the block's buffers; ``found`` is the survey's."""

    def admit(self, models: int, based: bool) -> None:
        """Refuse a number of models, or a missing base, that the method cannot work with.

        Raises:
            ConfigurationError: says how many it takes.
        """
        name = type(self).__name__
        if self.base == "needed" and not based:
            raise ConfigurationError(f"{name} needs the base that the models were fine-tuned from; none was given")
        count = models + (based and self.counts_base)
        if count < self.fewest or (self.most is not None and count > self.most):
            bounds = f"at least {self.fewest}" if self.most is None else f"{self.fewest} to {self.most}"
            if self.fewest == self.most:
                bounds = f"exactly {self.fewest}"
            besides = "the base among them" if self.counts_base else "besides a base"
            what = "checkpoint" if self.fewest == 1 and self.most in (None, 1) else "checkpoints"
            raise ConfigurationError(f"{name} merges {bounds} {what}, {besides}; it was given {count}")

    def __call__(
        self, base: Weights | None, models: Sequence[Weights], *, rules: Rules | None = None
    ) -> dict[str, Tensor]:
        """Merge state dictionaries or modules in memory.

        Args:
            base: what the models were fine-tuned from, or ``None`` for methods that need none.
            models: what to merge. Nothing of it is changed.
            rules: what to do about tensors that are missing, extra or of other types; see :class:`Rules`.

        Returns:
            New tensors under the base's names (else the first model's); tied tensors stay tied.

        Raises:
            ConfigurationError: the method cannot merge so many, or has an option that does not fit them.
            DataError: the checkpoints do not fit each other; the message names the tensor.
        """
        from accord.merging.in_memory import merge_in_memory  # the engine knows methods, too

        return merge_in_memory(self, base, models, rules)

    def __repr__(self) -> str:
        return described(self)


def described(method: object) -> str:
    """Return how a method would be built again: its class and the options it holds under their own names."""
    options = (f"{key}={getattr(method, key)!r}" for key in inspect.signature(type(method)).parameters)
    return f"{type(method).__name__}({', '.join(options)})"


def per_model(values: Sequence[float] | float | None, models: int, default: float, option: str) -> list[float]:
    """Return one number per model from an option that is one for all, one each, or left out.

    Raises:
        ConfigurationError: there are more or fewer numbers than models, or one that is none or beyond all measure.
    """
    if values is None:
        return [default] * models
    given = [values] * models if isinstance(values, int | float) else list(values)
    if len(given) != models:
        raise ConfigurationError(f"{option} has {len(given)} numbers for {models} models; give one for each")
    if odd := [value for value in given if not abs(value) <= LARGEST]:
        raise ConfigurationError(f"{option} is a number between -{LARGEST:g} and {LARGEST:g}; got {odd[0]}")
    return [float(value) for value in given]


def divisor(weights: Sequence[float], way_out: str = "give others") -> float:
    """Return the sum of weights that are divided by it.

    Raises:
        ConfigurationError: it is 0 up to rounding, and what is left of it would enlarge everything beyond measure.
    """
    total = sum(weights)
    if abs(total) <= ROUNDING * sum(map(abs, weights)):
        raise ConfigurationError(f"the weights {list(weights)} sum to 0, by which they cannot be divided; {way_out}")
    return total
