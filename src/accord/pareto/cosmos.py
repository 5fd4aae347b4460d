"""The preference as one more input."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.preference_model import AtPreference, PreferenceModel
from accord.pareto.preferences import draw_preferences

# Preferences below this have a ray as if they were this: 1 / 0 is none.
LEAST = 1e-3


class COSMOS(PreferenceModel):
    """Conditioned one-shot multi-objective search: preferences are appended to inputs, and a cosine spreads the front.

    With preference ``w`` and losses ``l``, it minimises ``w @ l - penalty cos(l, ray)``; on the ray, ``w_i l_i`` is the
    same for all tasks. One preference per step, from a Dirichlet distribution.

    Cost: that of one ordinary network.

    Args:
        net: takes T features more than the data have, or, for images, T channels.
        tasks: T.
        image: height and width of images ``[B, C, H, W]``, on which the preference becomes T learned planes by two
            transposed convolutions; ``None`` for features ``[..., D]``, to which it is appended as it is.
        penalty: 0 or more; a larger one keeps solutions closer to their rays, and at some point away from the front.
        concentration: of the Dirichlet distribution, above 0.

    Raises:
        ConfigurationError: the penalty is negative.

    Source: Ruchte and Grabocka, Scalable Pareto Front Approximation for Deep Multi-Objective Learning, 2021 (penalty 2
    and concentration 1.2 on MultiMNIST and Multi-Fashion; 8 and 1.2 on their mixture, 0.01 and 0.5 on tabular data, 3
    and 1 on CelebA). There the cosine is with the preference itself, whose ray asks for a high loss where the weighted
    sum asks for a low one; here with the ray of equal ``w_i l_i``, so that both pull to the same place.
    """

    method: ClassVar[Method] = Method(
        title="COSMOS",
        paper="Scalable Pareto Front Approximation for Deep Multi-Objective Learning",
        year=2021,
        url="https://arxiv.org/abs/2103.13392",
        needs="losses",
        cost="one forward and backward",
    )

    def __init__(
        self,
        net: nn.Module,
        tasks: int,
        image: tuple[int, int] | None = None,
        penalty: float = 2.0,
        concentration: float = 1.2,
    ) -> None:
        super().__init__(tasks)
        if not 0.0 <= penalty < float("inf"):
            raise ConfigurationError(f"penalty must be a finite number of at least 0, 2 for one; got {penalty}")
        self.net = net
        self.planes = None if image is None else _planes(tasks, image)
        self.penalty, self.concentration = penalty, concentration

    def respond(self, inputs: Any, preference: Tensor) -> Any:
        if self.planes is None:
            return self.net(torch.cat([inputs, preference.expand(*inputs.shape[:-1], self.tasks)], dim=-1))
        planes = self.planes(preference[None, :, None, None])
        return self.net(torch.cat([inputs, planes.expand(len(inputs), -1, -1, -1)], dim=1))

    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:  # noqa: ARG002 - the same throughout
        return draw_preferences(1, self.tasks, generator, self.concentration)

    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        preferences = preferences.to(losses)
        ray = 1 / preferences.clamp(min=LEAST)
        return ((preferences * losses).sum(dim=-1) - self.penalty * cosine_similarity(losses, ray, dim=-1)).mean()

    def solution(self, preference: Tensor) -> nn.Module:
        return AtPreference(self, preference)


def _planes(tasks: int, image: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(tasks, tasks, kernel_size=4, bias=False),
        nn.ReLU(),
        nn.ConvTranspose2d(tasks, tasks, kernel_size=6, stride=2, padding=1, bias=False),
        nn.ReLU(),
        nn.Upsample(image),
    )
