"""Federated training in one process against centralised steps, formulas by hand, and planted groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.grouping import Agglomerative, BranchAndBound, Budget, MergeAndSplit, PGFed
from accord.grouping.clients import average_rounds
from accord.sharing import Heads, MultiTaskModel
from accord.sharing.mlp import MLP


class Rows:
    """A client with inputs ``[n, 6]`` and regression targets ``[T, n]``; each batch is all of it."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y, self.rows = x, y, len(x)

    def losses(self, model: nn.Module, tasks: Sequence[int], step: int) -> list[Tensor | None]:
        return [((out.squeeze(1) - self.y[t]) ** 2).mean() for t, out in zip(tasks, model(self.x), strict=True)]


def linear_model(tasks: int, seed: int = 0) -> MultiTaskModel:
    rng = torch.Generator().manual_seed(seed)
    trunk = MLP(6, width=8, depth=0, dropout=0.0, generator=rng)
    return MultiTaskModel(nn.Identity(), trunk, Heads(8, [1] * tasks, tower=(), generator=rng), in_features=6)


def clients_of(groups: Sequence[int], rows: Sequence[int], seed: int = 0) -> list[Rows]:
    """Tasks of one group are noisy readings of the same function; every client has all tasks."""
    rng = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(6, 6, generator=rng))[0]
    found = []
    for count in rows:
        x = torch.randn(count, 6, generator=rng)
        y = torch.stack([torch.sin(2 * x @ directions[g]) + 0.05 * torch.randn(count, generator=rng) for g in groups])
        found.append(Rows(x, y))
    return found


def test_one_local_step_of_all_is_a_step_on_all_rows() -> None:
    clients = clients_of([0, 1], [20, 60])
    model, central = linear_model(2), linear_model(2)
    average_rounds(model, clients, [0, 1], rounds=range(1), steps=1, rate=0.1)
    whole = Rows(torch.cat([c.x for c in clients]), torch.cat([c.y for c in clients], 1))
    optimizer = torch.optim.SGD(central.parameters(), lr=0.1)
    torch.stack([loss for loss in whole.losses(central, [0, 1], 0) if loss is not None]).mean().backward()
    optimizer.step()
    for ours, theirs in zip(model.parameters(), central.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_merge_and_split_finds_planted_groups_and_trains_them_on() -> None:
    clients = clients_of([0, 1, 0, 1], [200, 300])
    method = MergeAndSplit(BranchAndBound(overlap=False), Budget(2), rounds=12, merged=6, steps=4, rate=0.1)
    found = method(lambda tasks: linear_model(len(tasks) or 4), clients)
    assert found.partition.groups == ((0, 2), (1, 3))
    assert [model.tasks for model in found.models] == [2, 2]
    joint = linear_model(4)
    average_rounds(joint, clients, [0, 1, 2, 3], rounds=range(6), steps=4, rate=0.1)
    for group, model in zip(found.partition.groups, found.models, strict=True):
        for client in clients:
            with torch.no_grad():
                after = client.losses(model, group, 0)
                before = [client.losses(joint, range(4), 0)[t] for t in group]
            assert sum(float(x) for x in after if x is not None) < sum(float(x) for x in before if x is not None)


def test_groups_go_on_from_the_joint_weights() -> None:
    clients = clients_of([0, 1, 0], [50])
    method = MergeAndSplit(BranchAndBound(overlap=False), Budget(2), rounds=4, merged=3, steps=2, rate=0.1)
    found = method(lambda tasks: linear_model(len(tasks) or 3, seed=len(tasks)), clients)
    joint = linear_model(3, seed=0)
    average_rounds(joint, clients, [0, 1, 2], rounds=range(3), steps=2, rate=0.1)
    group, model = found.partition.groups[0], found.models[0]
    fresh = linear_model(len(group), seed=len(group))
    with torch.no_grad():
        for mine, theirs in zip(fresh.shared_parameters(), joint.shared_parameters(), strict=True):
            mine.copy_(theirs)
        for k, t in enumerate(group):
            for mine, theirs in zip(fresh.task_parameters(k), joint.task_parameters(t), strict=True):
                mine.copy_(theirs)
    average_rounds(fresh, clients, group, rounds=range(3, 4), steps=2, rate=0.1)
    for ours, theirs in zip(model.parameters(), fresh.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_round_of_pgfed_by_hand() -> None:
    method = PGFed(2, mu=0.5, alpha_rate=0.1)
    weights = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    losses, gradients = torch.tensor([3.0, 1.0]), torch.tensor([[1.0, 1.0], [2.0, -1.0]])
    extra = method.round(weights, losses, gradients)
    # f_1(w_0) = 1 + (2, -1)'((1, 0) - (0, 2)) = 5; f_0(w_1) = 3 + (1, 1)'((0, 2) - (1, 0)) = 4.
    alpha = [0.5 - 0.1 * 0.5 * 5, 0.5 - 0.1 * 0.5 * 4]
    assert method.alpha.tolist() == [[0.0, pytest.approx(alpha[0])], [pytest.approx(alpha[1]), 0.0]]
    assert method.helps()[1, 0] == method.alpha[0, 1]
    expected = 0.5 * torch.tensor([[alpha[0] * 2, alpha[0] * -1], [alpha[1], alpha[1]]], dtype=torch.float64)
    torch.testing.assert_close(extra, expected)
    calm = PGFed(2, mu=0.5, alpha_rate=0.0, momentum=0.75)
    calm.round(weights, losses, gradients)
    before = calm.auxiliary.clone()
    torch.testing.assert_close(calm.round(weights, losses, 0 * gradients), 0.75 * before)


def test_coefficients_never_become_negative() -> None:
    method = PGFed(3, mu=1.0, alpha_rate=100.0)
    method.round(torch.zeros(3, 2), torch.ones(3), torch.zeros(3, 2))
    assert not method.alpha.any()


class Centre:
    """A client that wants its weight near its centre; noise changes from step to step."""

    rows = 1

    def __init__(self, centre: float, seed: int) -> None:
        draws = np.random.default_rng(seed)
        self.centre, self.noise = centre, draws.normal(size=4000)

    def losses(self, model: nn.Module, tasks: Sequence[int], step: int) -> list[Tensor | None]:
        (weight,) = model.parameters()
        return [0.5 * ((weight - self.centre - 0.3 * float(self.noise[step])) ** 2).sum()]


def test_without_others_it_is_training_alone() -> None:
    clients = [Centre(1.0, 0), Centre(-1.0, 1)]
    models, alone = ([nn.Linear(1, 1, bias=False) for _ in clients] for _ in range(2))
    for model, other in zip(models, alone, strict=True):
        other.load_state_dict(model.state_dict())
    PGFed(2, mu=0.0).train_clients(models, clients, rounds=3, steps=2, rate=0.1)
    for client, model, other in zip(clients, models, alone, strict=True):
        optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
        for step in range(6):
            optimizer.zero_grad()
            (loss,) = client.losses(other, [0], step)
            assert loss is not None
            loss.backward()
            optimizer.step()
        torch.testing.assert_close(model.weight, other.weight)


def test_clients_come_to_listen_to_those_alike() -> None:
    clients = [Centre(c, seed) for seed, c in enumerate([2.0, 2.1, -2.0, -2.1])]
    models = [nn.Linear(1, 1, bias=False) for _ in clients]
    method = PGFed(4, mu=0.2, alpha_rate=0.02)
    method.train_clients(models, clients, rounds=30, steps=5, rate=0.05)
    helps = method.helps()
    assert float(helps[1, 0]) > float(helps[2, 0]) and float(helps[3, 2]) > float(helps[0, 2])
    assert Agglomerative()(helps, Budget(2), neutral=None).groups == ((0, 1), (2, 3))


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="from 1 to rounds - 1"):
        MergeAndSplit(BranchAndBound(), Budget(2), rounds=3, merged=3)
    with pytest.raises(ConfigurationError, match="at least two clients"):
        PGFed(1)
    with pytest.raises(ConfigurationError, match="momentum in"):
        PGFed(2, momentum=1.0)
    with pytest.raises(ConfigurationError, match="2 clients were announced"):
        PGFed(2).train_clients([nn.Linear(1, 1)], [Centre(0, 0)], rounds=1, steps=1, rate=0.1)
    with pytest.raises(ConfigurationError, match="clients with rows"):
        average_rounds(linear_model(2), [], [0, 1], rounds=range(1), steps=1, rate=0.1)


def test_pgfed_state_resumes() -> None:
    method, restored = PGFed(2, momentum=0.5), PGFed(2, momentum=0.5)
    weights, gradients = torch.eye(2), torch.ones(2, 2)
    method.round(weights, torch.ones(2), gradients)
    restored.load_state_dict(method.state_dict())
    again = (weights, torch.ones(2), 2 * gradients)
    torch.testing.assert_close(restored.round(*again), method.round(*again))
