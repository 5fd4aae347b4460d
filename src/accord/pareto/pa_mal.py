"""One copy of the weights per task, and their mixtures for what lies between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.preferences import draw_preferences
from accord.pareto.weight_space import WeightSpaceModel


class PaMaL(WeightSpaceModel):
    """Pareto manifold learning: the solution for a preference ``w`` has the weights ``sum_t w_t theta_t``.

    A step has ``window`` preferences from a Dirichlet distribution and minimises the mean of ``w @ l`` over them, plus
    what the order of the losses is off. For task t, with the step's samples in ascending order of ``w_t``, its losses
    ought to fall, and ``R_t = log( (1 / (W - 1)) sum exp(max(l_next - l, 0)) )`` is 0 if they do.

    Members that are trained apart, and mixed without training, are a :class:`~accord.pareto.SoupFront`.

    Cost: ``window`` forwards, and T times the memory of one network. Running statistics of norms, if there are any,
    are the first member's, of all mixtures alike.

    Args:
        members: the T networks, of the same architecture; each starts where it is, independently drawn as a rule.
        window: W, how many preferences a step has, 1 or more.
        penalty: 0 or more, what the ``R_t`` count; needs a window of 2.
        concentration: of the Dirichlet distribution, above 0.

    Raises:
        ConfigurationError: the members' parameters differ in name or shape, or an option is out of range.

    Source: Dimitriadis, Frossard and Fleuret, Pareto Manifold Learning, 2023 (window, penalty and concentration 4, 0
    and 1 on MultiMNIST; 2, 5 and 1 on Census; 3, 2 and 1 with three digits; 3, 1 and 2 on UTKFace; 3, 1 and 7 on
    Cityscapes). The authors' code adds the losses of a window up, with ``penalty sum_t R_t`` beside them; the mean is
    taken of both here. It also takes samples in descending order of ``w_t``, under which a rise is what is wanted, and
    leaves ``R`` out where it would exceed the losses; here it is the text's.
    """

    method: ClassVar[Method] = Method(
        title="Pareto Manifold Learning",
        paper="Pareto Manifold Learning: Tackling multiple tasks via ensembles of single-task models",
        year=2023,
        url="https://arxiv.org/abs/2210.09759",
        needs="losses",
        cost="one forward and backward per preference of the window, T networks of memory",
        catalogue=(27,),
    )

    def __init__(
        self, members: Sequence[nn.Module], window: int = 4, penalty: float = 0.0, concentration: float = 1.0
    ) -> None:
        super().__init__(len(members), members[0] if members else nn.Identity())
        check_members(members)
        if window < 1 or not 0.0 <= penalty < float("inf") or (penalty and window < 2):
            raise ConfigurationError(
                "window must be 1 or more, penalty finite and not negative, and one above 0 needs a window of 2; "
                f"got window {window} and penalty {penalty}"
            )
        self.members = nn.ModuleList(members)
        self.window, self.penalty, self.concentration = window, penalty, concentration

    @property
    def skeleton(self) -> nn.Module:
        return self.members[0]

    def weights(self, preference: Tensor) -> Mapping[str, Tensor]:
        named = [dict(member.named_parameters()) for member in self.members]
        return {name: torch.tensordot(preference, torch.stack([one[name] for one in named]), 1) for name in named[0]}

    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:  # noqa: ARG002 - the same throughout
        return draw_preferences(self.window, self.tasks, generator, self.concentration)

    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        losses, preferences = torch.atleast_2d(losses), torch.atleast_2d(preferences.to(losses))
        total = (preferences * losses).sum(dim=-1).mean()
        if not self.penalty or len(losses) < 2:
            return total
        return total + self.penalty * disorder(losses, preferences).sum() / len(losses)


def check_members(members: Sequence[nn.Module]) -> None:
    """Raise a :class:`ConfigurationError` unless ``members`` are networks of one shape with parameters of their own."""
    shapes = [{name: tuple(p.shape) for name, p in member.named_parameters()} for member in members]
    if any(other != shapes[0] for other in shapes):
        raise ConfigurationError("the members have parameters of different names or shapes; build them all alike")
    if len({id(parameter) for member in members for parameter in member.parameters()}) < sum(map(len, shapes)):
        raise ConfigurationError("the members share parameters; build each of them anew")


def disorder(losses: Tensor, preferences: Tensor) -> Tensor:
    """Return ``R`` ``[T]`` of losses ``[W, T]`` at ``preferences`` ``[W, T]``, W of 2 or more."""
    falling = losses.gather(0, preferences.argsort(dim=0, stable=True))
    return falling.diff(dim=0).clamp(min=0).exp().mean(dim=0).log()
