"""A transformer that recommends from a session, and is told which objective matters how much."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.preference_model import AtPreference, PreferenceModel
from accord.pareto.preferences import draw_preferences

PADDING = 0


class MultiTRON(PreferenceModel):
    """Session-based recommendation over the whole front of its objectives, such as clicks and orders.

    A causal transformer reads the items of a session; the preference is appended to each item's embedding, and a linear
    layer brings both back to the width of one. What comes out at a place scores the next item by the inner product with
    its embedding. With losses ``l`` and ``s = w l / sum(w l)`` it minimises
    ``w @ l + penalty sum_t s_t log(T s_t)``, whose second part is EPO's non-uniformity and spreads the front::

        preference = model.sample(generator)[0]
        encoded = model(sessions, preference)                                    # [B, L, H]
        events = model.event_losses(encoded, clicked, ordered, negatives)        # [E, 2]: one row per event
        model.objective(events, preference.expand(len(events), 2)).backward()

    Any other losses of ``encoded`` will do, T of them. Cost: O(layers B L (L + H) H), whatever T, and B L N H for N
    negatives.

    Args:
        items: how many there are; an item is a number from 1 on, 0 is padding, before the session begins.
        tasks: T.
        hidden: width H of embeddings and layers.
        layers: of the transformer.
        length: longest session.
        dropout: in [0, 1).
        penalty: 0 or more, what non-uniformity counts.
        concentration: of the Dirichlet distribution that preferences are drawn from, above 0.
        generator: of the initial weights.

    Raises:
        ConfigurationError: an option is out of range.

    Source: Wilm, Normann and Stepprath, Pareto Front Approximation for Multi-Objective Session-Based Recommender
    Systems, 2024 (hidden 200, 3 layers of one head, length 50, dropout 0.05; penalties 0.02 to 1 and concentrations
    0.5, 1.2 and 2 are compared). The authors' code takes for the second part the cross entropy of a softmax over ``s``
    with equal shares: it has its least value at the same place but is nearly flat; here it is the text's.
    """

    method: ClassVar[Method] = Method(
        title="MultiTRON",
        paper="Pareto Front Approximation for Multi-Objective Session-Based Recommender Systems",
        year=2024,
        url="https://arxiv.org/abs/2407.16828",
        needs="data",
        cost="that of one session transformer",
        catalogue=(18,),
    )

    def __init__(
        self,
        items: int,
        tasks: int = 2,
        hidden: int = 200,
        layers: int = 3,
        length: int = 50,
        dropout: float = 0.05,
        penalty: float = 0.2,
        concentration: float = 1.2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(tasks)
        if min(items, hidden, layers, length) < 1 or not 0.0 <= dropout < 1.0 or not 0.0 <= penalty < math.inf:
            raise ConfigurationError(
                "items, hidden, layers and length are 1 or more, dropout is in [0, 1), penalty 0 or more; got "
                f"{items}, {hidden}, {layers}, {length}, {dropout} and {penalty}"
            )
        self.length, self.penalty, self.concentration = length, penalty, concentration
        self.embedding = nn.Embedding(items + 1, hidden, padding_idx=PADDING)
        self.place = nn.Embedding(length, hidden)
        self.merge = nn.Linear(hidden + tasks, hidden)
        self.blocks = nn.ModuleList(Block(hidden, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(dropout)
        with torch.no_grad():
            for table in (self.embedding, self.place):
                nn.init.xavier_uniform_(table.weight, generator=generator)
            self.embedding.weight[PADDING].zero_()
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    bound = layer.in_features**-0.5
                    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
                    nn.init.zeros_(layer.bias)

    def respond(self, inputs: Any, preference: Tensor) -> Tensor:
        """Return ``[B, L, H]`` of sessions ``[B, L]`` int64; what stands at padding means nothing."""
        width, length = self.embedding.embedding_dim, inputs.shape[1]
        if length > self.length:
            raise ConfigurationError(f"sessions have at most {self.length} items; got {length}: keep the last ones")
        told = preference.expand(*inputs.shape, self.tasks)
        x = self.merge(torch.cat([self.embedding(inputs), told], dim=-1)) * math.sqrt(width / 2)
        # The last item always has the last place, however long the session.
        x = self.dropout(x + self.place.weight[self.length - length :])
        causal = torch.ones(length, length, dtype=torch.bool, device=inputs.device).tril()
        # A place may look at itself even where that is padding: a softmax over nothing has no value.
        itself = torch.eye(length, dtype=torch.bool, device=inputs.device)
        seen = (causal & (inputs != PADDING)[:, None]) | itself
        for block in self.blocks:
            x = block(x, seen)
        return self.norm(x)

    def scores(self, encoded: Tensor, items: Tensor | None = None) -> Tensor:
        """Return scores ``[..., N]`` of ``items`` ``[N]``, or of all, padding first, after ``encoded`` ``[..., H]``."""
        return encoded @ (self.embedding.weight if items is None else self.embedding(items)).T

    def event_losses(
        self, encoded: Tensor, clicked: Tensor, ordered: Tensor, negatives: Tensor, top: int | None = 100
    ) -> Tensor:
        """Return ``[E, 2]``, the paper's losses of every event that is not padding.

        That the next item was clicked: the softmax of its score among those of negatives. That it was also ordered: the
        logistic loss of its score.

        Args:
            encoded: ``[B, L, H]``.
            clicked: ``[B, L]`` int64, the next item at each place, 0 for none.
            ordered: ``[B, L]``, 1 where it was ordered, else 0.
            negatives: ``[N]`` int64, items drawn for this batch.
            top: only as many of the highest scores among the negatives count; all if ``None``.
        """
        events = clicked != PADDING
        at, item = encoded[events], clicked[events]
        score = (at * self.embedding(item)).sum(dim=-1)
        others = self.scores(at, negatives).masked_fill(negatives == item[:, None], -math.inf)
        if top is not None and top < others.shape[1]:
            others = others.topk(top, dim=1).values
        click = torch.logsumexp(torch.cat([score[:, None], others], dim=1), dim=1) - score
        order = functional.binary_cross_entropy_with_logits(score, ordered[events].to(score), reduction="none")
        return torch.stack([click, order], dim=1)

    def sample(self, generator: torch.Generator, progress: float = 1.0) -> Tensor:  # noqa: ARG002 - the same throughout
        return draw_preferences(1, self.tasks, generator, self.concentration)

    def objective(self, losses: Tensor, preferences: Tensor) -> Tensor:
        """Return the mean over rows: of one loss for each preference, or of all events at one preference repeated."""
        weighted = preferences.to(losses) * losses
        total = weighted.sum(dim=-1, keepdim=True)
        shares = weighted / total.clamp(min=1e-6)
        uneven = torch.special.xlogy(shares, self.tasks * shares).sum(dim=-1)
        return (total.squeeze(-1) + self.penalty * uneven).mean()

    def solution(self, preference: Tensor) -> nn.Module:
        return AtPreference(self, preference)


class Block(nn.Module):
    """One layer: norms first, attention of one head, and two linear layers, each added to what it reads."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attend, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.grow, self.shrink = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Return ``[B, L, H]``; ``seen`` ``[B, L, L]`` says which place looks at which."""
        query, key, value = self.attend(self.first(x)).chunk(3, dim=-1)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(x.shape[-1])).masked_fill(~seen, -math.inf).softmax(dim=-1)
        x = x + self.dropout(self.out(self.dropout(weights) @ value))
        return x + self.dropout(self.shrink(self.dropout(functional.relu(self.grow(self.second(x))))))
