"""A network that writes the weights of another one for a preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.method import Method
from accord.pareto.linear import LinearScalarisation
from accord.pareto.preferences import draw_preferences
from accord.pareto.scalarisation import Scalarisation
from accord.pareto.weight_space import WeightSpaceModel, emptied


class ParetoHyperNetwork(WeightSpaceModel):
    """Pareto HyperNetworks (PHN): preference -> MLP -> all weights of the target network.

    Trained on one preference per step from a Dirichlet distribution that prefers the corners; ``scalarisation`` of the
    losses at it is minimised, the weighted sum for PHN-LS. PHN-EPO takes EPO's direction for the hypernetwork::

        preference = model.sample(generator)[0]
        losses = criterion(model(inputs, preference), targets)
        accord.backward(losses, shared=list(model.parameters()), balancer=accord.pareto.EPO(preference))

    Cost: the hypernetwork has ``hidden[-1] + 1`` parameters for each one of the target, so this is for small targets.

    Args:
        net: the target network; a copy is used. Its parameters are where training starts from.
        tasks: T.
        hidden: widths of the MLP's layers, each followed by a ReLU.
        concentration: of the Dirichlet distribution, above 0.
        scalarisation: how losses and preference make an objective; the weighted sum if ``None``.
        window: how many preferences a step has, 1 or more.

    Source: Navon et al., Learning the Pareto Front with Hypernetworks, 2021 (concentration 0.2 and three layers of 100,
    the authors' code, whose last layer has no ReLU, so that two linear maps follow each other; here each has one). The
    layer that writes the weights starts from the target's own weights plus a term in the preference of their size, so
    that solutions begin as sound networks whatever the target's depth; the authors' starts at random.
    """

    method: ClassVar[Method] = Method(
        title="Pareto HyperNetwork",
        paper="Learning the Pareto Front with Hypernetworks",
        year=2021,
        url="https://arxiv.org/abs/2010.04104",
        needs="losses",
        cost="one forward and backward, of a hypernetwork some 100 times the target's size",
    )

    def __init__(
        self,
        net: nn.Module,
        tasks: int,
        hidden: Sequence[int] = (100, 100, 100),
        concentration: float = 0.2,
        scalarisation: Scalarisation | None = None,
        window: int = 1,
    ) -> None:
        super().__init__(tasks, net)
        self.shapes = {name: parameter.shape for name, parameter in net.named_parameters()}
        self.net = emptied(net)
        widths = (tasks, *hidden)
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], sum(shape.numel() for shape in self.shapes.values()))
        self._start(net)
        self.concentration, self.window = concentration, window
        self.scalarisation = scalarisation or LinearScalarisation()

    def _start(self, net: nn.Module) -> None:
        parameters = [parameter.detach() for parameter in net.parameters()]
        sizes = torch.cat([p.abs().mean().expand(p.numel()) for p in parameters]).to(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.cat([p.reshape(-1) for p in parameters]))
            self.head.weight.mul_(sizes[:, None])

    @property
    def skeleton(self) -> nn.Module:
        return self.net

    def weights(self, preference: Tensor) -> Mapping[str, Tensor]:
        flat = self.head(self.trunk(preference))
        parts = flat.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:  # noqa: ARG002 - the same throughout
        return draw_preferences(self.window, self.tasks, generator, self.concentration)

    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        return self.scalarisation(losses, preferences.to(losses)).mean()
