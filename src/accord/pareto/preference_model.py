"""One model that is told a preference and answers as the solution for it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from accord.errors import ConfigurationError
from accord.method import Method


class PreferenceModel(nn.Module, ABC):
    """A front in one model. More of a preference means that its objective matters more.

    A step of training, whatever the method; ``criterion`` returns the T losses of one batch::

        preferences = model.sample(generator)                                             # [W, T]
        losses = torch.stack([criterion(model(inputs, one), targets) for one in preferences])  # [W, T]
        model.objective(losses, preferences).backward()

    Attributes:
        tasks: T.
    """

    method: ClassVar[Method]

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 2:
            raise ConfigurationError(f"a front has at least 2 tasks; got {tasks}")
        self.tasks = tasks

    def forward(self, inputs: Any, preference: Tensor) -> Any:
        """Return what the solution for ``preference`` says about ``inputs``.

        Args:
            inputs: what the plain network takes; a tuple stands for several arguments.
            preference: ``[T]``, non-negative, summing to 1; or ``[W, T]``, all of them in one vectorised pass, in which
                case every tensor of the answer has one dimension more, the first. What ``torch.vmap`` cannot do, such
                as recurrent layers, takes one preference at a time.

        Raises:
            ConfigurationError: the preference has not T entries; or there are several, and a norm would update its
                running statistics for all of them at once.
        """
        if preference.shape[-1:] != (self.tasks,) or preference.ndim not in (1, 2):
            raise ConfigurationError(
                f"a preference is [{self.tasks}] or [W, {self.tasks}] here; got {list(preference.shape)}"
            )
        preference = preference.to(next(self.parameters()))
        if preference.ndim == 1:
            return self.respond(inputs, preference)
        if any(isinstance(m, _NormBase) and m.training and m.running_mean is not None for m in self.modules()):
            raise ConfigurationError(
                "running statistics cannot be updated for several preferences at once: call the model once for each, "
                "use a norm without them, such as GroupNorm, or call eval() first"
            )
        return torch.vmap(lambda one: self.respond(inputs, one), randomness="different")(preference)

    @abstractmethod
    def respond(self, inputs: Any, preference: Tensor) -> Any:
        """Return what the solution for one ``preference`` ``[T]`` says about ``inputs``; ``forward`` checks both."""

    @abstractmethod
    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:
        """Return the preferences ``[W, T]`` of one step, W of them as the method has it.

        Args:
            generator: on the CPU, where all randomness comes from.
            progress: how far training has come, 0 to 1, for methods that change what they draw.
        """

    @abstractmethod
    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        """Return the scalar to minimise from losses ``[W, T]`` at ``preferences`` ``[W, T]``, or ``[T]`` at ``[T]``."""

    @abstractmethod
    def solution(self, preference: Tensor) -> nn.Module:
        """Return the solution for ``preference`` ``[T]`` as a module of its own, a copy to use or save."""


class AtPreference(nn.Module):
    """The solution of a model that has its preference as an input: a copy of the model, and the preference.

    Args:
        model: is copied.
        preference: ``[T]``, saved along.
    """

    preference: Tensor

    def __init__(self, model: PreferenceModel, preference: Tensor) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.register_buffer("preference", preference.detach().clone())

    def forward(self, *inputs: Any) -> Any:
        """Return what the model says about ``inputs`` at this preference."""
        return self.model(inputs[0] if len(inputs) == 1 else inputs, self.preference)
