"""Averages of models under a preference, and those that a metric picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar, Literal

from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.combination import Array, Combination
from accord.merging.linear import Linear
from accord.merging.merging_method import Weights
from accord.method import Method

Metric = Callable[[dict[str, Tensor]], float]


class RewardedSoup(Combination):
    """Average models that were each trained for one reward, by a preference: ``sum_i preference_i model_i``.

    The preference is chosen after training: the models along it trade the rewards off nearly as well as training anew
    for each. :func:`simplex` gives evenly spaced preferences. Cost: one pass.

    Args:
        preference: one share for each model, not negative, summing to 1; equal ones when left out.

    Weights are averaged. The authors average the factors of LoRA adapters instead, whose product is something else;
    merge adapters as products.

    Source: Rame et al., Rewarded soups: towards Pareto-optimal alignment by interpolating weights fine-tuned on diverse
    rewards, 2023.
    """

    method: ClassVar[Method] = Method(
        title="Rewarded soup",
        paper="Rewarded soups: towards Pareto-optimal alignment by interpolating weights fine-tuned on diverse rewards",
        year=2023,
        url="https://arxiv.org/abs/2306.04488",
        needs="parameters",
        cost="1 pass",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"

    def __init__(self, preference: Sequence[float] | None = None) -> None:
        if preference is not None and (min(preference, default=-1.0) < 0 or abs(sum(preference) - 1.0) > 1e-6):
            raise ConfigurationError(f"a preference has shares that are not negative and sum to 1; got {preference}")
        self.preference = preference

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        shares = [1.0 / models] * models if self.preference is None else list(self.preference)
        if len(shares) != models:
            raise ConfigurationError(f"preference has {len(shares)} numbers for {models} models; give one for each")
        return [0.0, *shares]


class PersonalisedSoup(Combination):
    """Average the models of those preferences that one person has, with equal shares.

    One model is trained for each preference (concise, friendly, for experts, ...); any combination is served without
    training. Cost: one pass over the chosen models.

    Args:
        chosen: places of the models, from 0 on; all of them when left out.

    The authors average factors of LoRA adapters entry by entry; see :class:`RewardedSoup`.

    Source: Jang et al., Personalized Soups: Personalized Large Language Model Alignment via Post-hoc Parameter Merging,
    2023.
    """

    method: ClassVar[Method] = Method(
        title="Personalised soup",
        paper="Personalized Soups: Personalized Large Language Model Alignment via Post-hoc Parameter Merging",
        year=2023,
        url="https://arxiv.org/abs/2310.11564",
        needs="parameters",
        cost="1 pass",
        catalogue=(555,),
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"

    def __init__(self, chosen: Sequence[int] | None = None) -> None:
        if chosen is not None and (not chosen or len(set(chosen)) < len(chosen)):
            raise ConfigurationError(f"chosen names at least one model, and none twice; got {list(chosen)}")
        self.chosen = chosen

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        chosen = range(models) if self.chosen is None else self.chosen
        if not all(0 <= place < models for place in chosen):
            raise ConfigurationError(f"chosen places run from 0 to {models - 1}; got {list(chosen)}")
        return [0.0, *(1.0 / len(chosen) if place in chosen else 0.0 for place in range(models))]


def simplex(models: int, steps: int) -> Iterator[tuple[float, ...]]:
    """Yield all preferences over ``models`` whose shares are multiples of ``1 / steps``, in lexical order.

    There are ``(steps + models - 1)! / (steps! (models - 1)!)`` of them.

    Raises:
        ConfigurationError: there is no model, or no step.
    """
    if models < 1 or steps < 1:
        raise ConfigurationError(f"models and steps are 1 or more; got {models} and {steps}")
    for bars in combinations(range(steps + models - 1), models - 1):
        edges = (-1, *bars, steps + models - 1)
        yield tuple((after - before - 1) / steps for before, after in pairwise(edges))


@dataclass(frozen=True, eq=False)
class Soup:
    """A greedy soup.

    Attributes:
        state: the averaged tensors.
        members: places of the models in it, best first.
        scores: of every model by itself.
        score: of the soup.
    """

    state: dict[str, Tensor]
    members: tuple[int, ...]
    scores: tuple[float, ...]
    score: float


def greedy_soup(models: Sequence[Weights], metric: Metric) -> Soup:
    """Average models as long as that does not lower a metric, beginning with the best (Wortsman et al., 2022).

    Each further model, in the order of the metric, joins if the mean of all members is at least as good with it. Cost:
    ``2 n`` calls of the metric, and memory for one mean besides the models.

    Args:
        models: runs of one task from one base.
        metric: higher is better, of a state; on data that are not used to judge the soup later.

    Raises:
        ConfigurationError: there is no model, or the metric of one is NaN.
    """
    if not models:
        raise ConfigurationError("a soup needs at least one model")
    scores = [float(metric(Linear()(None, [model]))) for model in models]
    if odd := [place for place, score in enumerate(scores) if score != score]:
        raise ConfigurationError(f"the metric of model {odd[0]} is NaN; leave that model out")
    order = sorted(range(len(models)), key=lambda place: -scores[place])
    members, best = [order[0]], scores[order[0]]
    for place in order[1:]:
        score = float(metric(Linear()(None, [models[member] for member in (*members, place)])))
        if score >= best:
            members, best = [*members, place], score
    return Soup(Linear()(None, [models[member] for member in members]), tuple(members), tuple(scores), best)
