"""Federated training simulated in one process: what a client is, and rounds of averaging."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.sharing import MultiTaskModel


class Client(Protocol):
    """One participant, whose rows never leave it.

    Attributes:
        rows: how many it has; its say in averages.
    """

    rows: int

    def losses(self, model: nn.Module, tasks: Sequence[int], step: int) -> Sequence[Tensor | None]:
        """Return the losses of ``model``, a model of ``tasks``, on the client's batch number ``step``."""
        ...


Look = Callable[[MultiTaskModel, Client, int], None]


def average_rounds(
    model: MultiTaskModel,
    clients: Sequence[Client],
    tasks: Sequence[int],
    *,
    rounds: range,
    steps: int,
    rate: float,
    look: Look | None = None,
) -> None:
    """Train ``model`` in place by federated averaging.

    In each round every client takes ``steps`` steps of gradient descent on the mean loss of its tasks from the model of
    the server, whose weights then become the clients', averaged by rows.

    Args:
        model: of ``tasks``, in this order.
        clients: all of them take part in every round.
        tasks: positions of the tasks among all.
        rounds: numbers of the rounds; a client's batches are numbered through all rounds.
        steps: local steps of a round, at least 1.
        rate: of the local steps.
        look: is shown each client's model after its local steps of a round.

    Source: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017.
    """
    check_clients(clients, steps)
    total = sum(client.rows for client in clients)
    for number in rounds:
        states: list[tuple[float, dict[str, Tensor]]] = []
        for client in clients:
            local = copy.deepcopy(model)
            for step in range(number * steps, (number + 1) * steps):
                descend(local, client.losses(local, tasks, step), rate)
            if look is not None:
                look(local, client, (number + 1) * steps - 1)
            states.append((client.rows / total, local.state_dict()))
        model.load_state_dict({name: _mean([(w, s[name]) for w, s in states]) for name in states[0][1]})


def descend(model: nn.Module, losses: Sequence[Tensor | None], rate: float) -> None:
    """Take one step of gradient descent on the mean of the ``losses`` that are there."""
    present = [loss for loss in losses if loss is not None]
    if not present:
        return
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(torch.stack(present).mean(), parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, found, strict=True):
            if gradient is not None:
                parameter.sub_(gradient, alpha=rate)


def check_clients(clients: Sequence[Client], steps: int) -> None:
    """Raise a :class:`ConfigurationError` where nobody could train."""
    if not clients or any(client.rows < 1 for client in clients) or steps < 1:
        rows = [client.rows for client in clients]
        raise ConfigurationError(
            f"it takes clients with rows and at least one local step; got rows {rows}, steps {steps}"
        )


def _mean(states: Sequence[tuple[float, Tensor]]) -> Tensor:
    if not states[0][1].is_floating_point():
        return states[0][1]
    return torch.stack([weight * tensor for weight, tensor in states]).sum(0)
