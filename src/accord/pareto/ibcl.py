"""Tasks one after the other, and a model for any trade-off between them without training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.weight_space import filled


class IBCL(nn.Module):
    """Imprecise Bayesian continual learning: a convex hull of posteriors, and models read off it for preferences.

    What is known is a set of extremes, normal distributions ``N(m, s^2)`` of each weight. A new task comes with one
    learner for each of J priors: the posteriors of the task before, or of the given spreads around the network for the
    first. Their posteriors are the task's extremes; one that is no further than ``tolerance`` from an extreme that
    there is (2-Wasserstein: ``sqrt(|m - m'|^2 + |s - s'|^2)``) is replaced by it and costs no memory. A preference
    ``w`` over the tasks so far is addressed by the weighted mean of all extremes, ``w_t / J`` each, in means and in
    deviations, which is their barycentre, and by models out of its region of highest density: no training::

        model = accord.pareto.IBCL(net)
        for inputs, targets in tasks:                          # each only while its data are there
            learners = model.learners()
            for learner in learners:
                ...   # minimise len(inputs) * criterion(learner(inputs, generator), targets) + learner.divergence()
            model.learn(learners)
        chosen = model.solution(torch.tensor([0.3, 0.7]))

    :func:`~accord.pareto.evaluate_front` takes it. Cost: J variational trainings per task, 2 P numbers per extreme; a
    model costs O(J T P).

    Args:
        net: gives names, shapes and the centre of the first priors.
        spreads: ``[J]``, standard deviations of the first priors, above 0.
        tolerance: 0 or more; 0 keeps every posterior.

    Raises:
        ConfigurationError: an option is out of range.

    Source: Lu, Caprio, Eaton and Lee, IBCL: Zero-shot Model Generation for Task Trade-offs in Continual Learning, 2024
    (three priors and a tolerance of 0.01 in the authors' code). The text combines densities; the code combines means
    and deviations, as here: a mixture of distant posteriors has no good model between them, their barycentre may have.
    The spreads are ours.
    """

    method: ClassVar[Method] = Method(
        title="IBCL",
        paper="IBCL: Zero-shot Model Generation for Task Trade-offs in Continual Learning",
        year=2024,
        url="https://arxiv.org/abs/2305.14782",
        needs="data",
        cost="J variational trainings per task; none per preference",
        catalogue=(65,),
    )
    means: Tensor
    deviations: Tensor
    places: Tensor

    def __init__(self, net: nn.Module, spreads: Sequence[float] = (0.1, 0.3, 1.0), tolerance: float = 0.01) -> None:
        super().__init__()
        if not spreads or not all(0.0 < spread < math.inf for spread in spreads) or not 0.0 <= tolerance < math.inf:
            raise ConfigurationError(
                f"spreads are one or more numbers above 0, tolerance is 0 or more; got {list(spreads)} and {tolerance}"
            )
        self.net, self.spreads, self.tolerance = net, tuple(spreads), tolerance
        size = sum(parameter.numel() for parameter in net.parameters())
        self.register_buffer("means", torch.zeros(0, size))
        self.register_buffer("deviations", torch.zeros(0, size))
        # Which extreme is task t's j-th.
        self.register_buffer("places", torch.zeros(0, len(self.spreads), dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_take_sizes)

    @property
    def tasks(self) -> int:
        """How many tasks were learnt so far."""
        return len(self.places)

    def learners(self) -> list[Learner]:
        """Return one learner for each prior of the next task."""
        if self.tasks:
            last = self.places[-1]
            return [Learner(self.net, self.means[place], self.deviations[place]) for place in last]
        centre = torch.cat([parameter.detach().flatten() for parameter in self.net.parameters()])
        return [Learner(self.net, centre, torch.full_like(centre, spread)) for spread in self.spreads]

    def learn(self, learners: Sequence[Learner]) -> None:
        """Add the task that ``learners``, one for each prior in order, were trained for.

        Raises:
            ConfigurationError: there are more or fewer of them.
        """
        if len(learners) != len(self.spreads):
            raise ConfigurationError(f"needs the {len(self.spreads)} learners of a task; got {len(learners)}")
        found = [self._place(learner) for learner in learners]
        self.places = torch.cat([self.places, torch.tensor([found], device=self.places.device)])

    def _place(self, learner: Learner) -> int:
        mean, deviation = learner.mean.detach(), learner.deviation.detach()
        if len(self.means):
            gaps = (self.means - mean).square().sum(dim=1) + (self.deviations - deviation).square().sum(dim=1)
            nearest = int(gaps.argmin())
            if gaps[nearest].sqrt() <= self.tolerance:
                return nearest
        self.means = torch.cat([self.means, mean[None].to(self.means)])
        self.deviations = torch.cat([self.deviations, deviation[None].to(self.deviations)])
        return len(self.means) - 1

    def combined(self, preference: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation ``[P]`` of every weight for a preference ``[T]`` over the tasks so far.

        Raises:
            ConfigurationError: the preference has not one entry per task, or is not on the simplex.
        """
        if preference.shape != (self.tasks,) or bool((preference < 0).any()) or abs(float(preference.sum()) - 1) > 1e-4:
            raise ConfigurationError(
                f"a preference has one entry for each of the {self.tasks} tasks, not negative, summing to 1; "
                f"got {preference.tolist()}"
            )
        share = preference.to(self.means).repeat_interleave(len(self.spreads)) / len(self.spreads)
        chosen = self.places.flatten()
        return share @ self.means[chosen], share @ self.deviations[chosen]

    def region(self, preference: Tensor, mass: float) -> tuple[Tensor, Tensor]:
        """Return the ends ``[P]`` of the shortest interval of each weight that has probability ``mass``."""
        if not 0.0 < mass < 1.0:
            raise ConfigurationError(f"mass must be between 0 and 1; got {mass}")
        mean, deviation = self.combined(preference)
        half = deviation * math.sqrt(2.0) * float(torch.erfinv(torch.tensor(mass, dtype=torch.float64)))
        return mean - half, mean + half

    def solution(self, preference: Tensor, generator: torch.Generator | None = None, mass: float = 0.01) -> nn.Module:
        """Return a network for ``preference`` ``[T]``: the centre of its region, or one drawn evenly from it.

        Args:
            preference: over the tasks so far.
            generator: on the CPU, to draw; ``None`` for the centre.
            mass: of the region. The authors' code calls it ``alpha`` and takes 0.01; the text's ``alpha`` is 1 less it.
        """
        if generator is None:
            weights = self.combined(preference)[0]
        else:
            low, high = self.region(preference, mass)
            weights = low + torch.rand(len(low), generator=generator).to(low) * (high - low)
        return filled(self.net, unflattened(self.net, weights))


class Learner(nn.Module):
    """A normal distribution over the weights of a network, in training.

    Args:
        net: is left alone.
        mean: ``[P]`` of the prior, where it starts from.
        deviation: ``[P]`` of the prior, above 0.
    """

    prior_mean: Tensor
    prior_deviation: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.net = [net]  # in a list, it is no part of this module and of what is trained
        self.register_buffer("prior_mean", mean.clone())
        self.register_buffer("prior_deviation", deviation.clone())
        self.mean = nn.Parameter(mean.clone())
        # The inverse of softplus, written so that it is exact for small deviations.
        self.raw = nn.Parameter(deviation + torch.log(-torch.expm1(-deviation)))

    @property
    def deviation(self) -> Tensor:
        """The deviations ``[P]``."""
        return softplus(self.raw)

    def forward(self, inputs: Any, generator: torch.Generator) -> Any:
        """Return what one network, drawn anew with ``generator`` (on the CPU), says about ``inputs``."""
        noise = torch.randn(len(self.mean), generator=generator).to(self.mean)
        weights = unflattened(self.net[0], self.mean + self.deviation * noise)
        return functional_call(self.net[0], dict(weights), inputs if isinstance(inputs, tuple) else (inputs,))

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence from the prior, in nats."""
        ratio = self.deviation / self.prior_deviation
        shift = (self.mean - self.prior_mean) / self.prior_deviation
        return 0.5 * (ratio.square() + shift.square() - 1.0).sum() - ratio.log().sum()


def unflattened(net: nn.Module, weights: Tensor) -> Mapping[str, Tensor]:
    """Return ``weights`` ``[P]`` by the names of the parameters of ``net``."""
    named = dict(net.named_parameters())
    parts = weights.split([parameter.numel() for parameter in named.values()])
    return {name: part.view_as(parameter) for (name, parameter), part in zip(named.items(), parts, strict=True)}


def _take_sizes(module: IBCL, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    for name in ("means", "deviations", "places"):
        saved = state_dict.get(prefix + name)
        if isinstance(saved, Tensor):
            setattr(module, name, torch.zeros_like(saved, device=getattr(module, name).device))
