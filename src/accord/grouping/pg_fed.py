"""Clients that each choose whose risk counts for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from accord.errors import ConfigurationError
from accord.grouping.clients import Client, check_clients, descend
from accord.method import Method


class PGFed(nn.Module):
    """Personalised global objectives: client i minimises ``f_i(w_i) + mu sum_j a_ij f_j(w_i)`` and learns its ``a_ij``.

    Other clients' risks are expanded around their own weights, ``f_j(w_i) = f_j(w_j) + grad f_j(w_j)' (w_i - w_j)``, so
    that a round needs one loss and one gradient of each client. With these::

        a_ij <- max(0, a_ij - alpha_rate mu f_j(w_i))          for j other than i
        u_i  <- momentum u_i + (1 - momentum) mu sum_j a_ij grad f_j(w_j)

    and client i adds ``u_i`` to its gradient in the local steps of the next round. The coefficients begin at ``1 / N``.
    ``helps() [N, N]`` is who helps whom, entry ``[j, i]`` being ``a_ij``, as an affinity among clients.

    Shapes: weights and gradients ``[N, P]``, losses ``[N]``. Cost: O(N^2 P) on the server, one more gradient per client
    and round.

    Args:
        clients: N, at least 2.
        mu: weight of the others' risks, 0 or more; 0 is training alone.
        alpha_rate: of the coefficients, 0 or more.
        momentum: of the auxiliary gradient, 0 to below 1; above 0 it is PGFedMo.

    Source: Luo et al., PGFed: Personalize Each Client's Global Objective for Federated Learning, 2023. There a client
    computes its own coefficients and is sent the mean gradient in place of each ``grad f_j``, to save sending N of
    them; the server has all weights and gradients anyway, so here it computes them exactly. Each client goes on from
    its own weights.
    """

    method: ClassVar[Method] = Method(
        title="PGFed",
        paper="PGFed: Personalize Each Client's Global Objective for Federated Learning",
        year=2023,
        url="https://arxiv.org/abs/2212.01448",
        needs="parameters",
        cost="O(N^2 P) per round for N clients",
        catalogue=(571,),
    )
    alpha: Tensor
    auxiliary: Tensor

    def __init__(self, clients: int, *, mu: float = 0.1, alpha_rate: float = 0.05, momentum: float = 0.0) -> None:
        super().__init__()
        if clients < 2:
            raise ConfigurationError(f"it takes at least two clients to learn from each other; got {clients}")
        if not (mu >= 0 and alpha_rate >= 0 and 0 <= momentum < 1):
            raise ConfigurationError(
                f"mu and alpha_rate must be 0 or more and momentum in [0, 1); got {mu}, {alpha_rate}, {momentum}"
            )
        self.mu, self.alpha_rate, self.momentum = mu, alpha_rate, momentum
        alpha = torch.full((clients, clients), 1 / clients, dtype=torch.float64)
        self.register_buffer("alpha", alpha.fill_diagonal_(0.0))
        self.register_buffer("auxiliary", torch.zeros(clients, 0, dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_take_width)

    def round(self, weights: Tensor, losses: Tensor, gradients: Tensor) -> Tensor:
        """Update the coefficients and return the auxiliary gradients ``u [N, P]`` of the next round.

        Args:
            weights: ``[N, P]``, row j is ``w_j``.
            losses: ``[N]``, ``f_j(w_j)``.
            gradients: ``[N, P]``, ``grad f_j(w_j)``.
        """
        weights, losses, gradients = (x.detach().to("cpu", torch.float64) for x in (weights, losses, gradients))
        risks = losses[None, :] + weights @ gradients.T - (gradients * weights).sum(1)[None, :]
        self.alpha = (self.alpha - self.alpha_rate * self.mu * risks).clamp_min(0).fill_diagonal_(0.0)
        fresh = self.mu * self.alpha @ gradients
        first = not self.auxiliary.shape[1]
        self.auxiliary = fresh if first else self.momentum * self.auxiliary + (1 - self.momentum) * fresh
        return self.auxiliary

    def helps(self) -> Tensor:
        """Return who helps whom ``[N, N]``, for partitioners; 0, the neutral value, where nobody listens."""
        return self.alpha.T.clone()

    def train_clients(
        self, models: Sequence[nn.Module], clients: Sequence[Client], *, rounds: int, steps: int, rate: float
    ) -> None:
        """Train one model per client in place, all in this process; every client has one task.

        Args:
            models: of the clients, with the same shapes.
            clients: N of them.
            rounds: of communication.
            steps: local steps of a round.
            rate: of the local steps.
        """
        check_clients(clients, steps)
        if not len(models) == len(clients) == len(self.alpha):
            raise ConfigurationError(
                f"{len(self.alpha)} clients were announced; got {len(clients)} and {len(models)} models"
            )
        extra: Tensor | None = None
        for number in range(rounds):
            for i, (model, client) in enumerate(zip(models, clients, strict=True)):
                for step in range(number * steps, (number + 1) * steps):
                    descend(model, client.losses(model, [0], step), rate)
                    if extra is not None:
                        self._push(model, extra[i], rate)
            found = [
                self._risk(model, client, (number + 1) * steps - 1)
                for model, client in zip(models, clients, strict=True)
            ]
            weights = torch.stack([parameters_to_vector(model.parameters()) for model in models])
            extra = self.round(weights, torch.stack([f for f, _ in found]), torch.stack([g for _, g in found]))

    @staticmethod
    def _risk(model: nn.Module, client: Client, step: int) -> tuple[Tensor, Tensor]:
        (loss,) = client.losses(model, [0], step)
        if loss is None:
            raise ConfigurationError("a client without a label in its batch cannot share its risk")
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        parts = [
            (torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, gradients, strict=True)
        ]
        return loss.detach(), torch.cat(parts)

    @staticmethod
    @torch.no_grad()
    def _push(model: nn.Module, gradient: Tensor, rate: float) -> None:
        vector = parameters_to_vector(model.parameters())
        vector_to_parameters(vector - rate * gradient.to(vector), model.parameters())


def _take_width(module: PGFed, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    saved = state_dict.get(prefix + "auxiliary")
    if isinstance(saved, Tensor):
        module.auxiliary = torch.zeros_like(saved)
